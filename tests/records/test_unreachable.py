"""An unreachable file or folder is reported, and the others are read."""

import os
from contextlib import closing
from unittest.mock import patch

import pytest

from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.serving.looking import Watched
from tests.builders.content import write_lines
from tests.builders.events import call

pytestmark = pytest.mark.attack("records")


def folder_with(tmp_path, link) -> list[str]:
    folder = tmp_path / "trail"
    folder.mkdir()
    for number in range(6):
        write_lines(folder / f"{number}.jsonl", [call("ListRoles", eventID=f"id-{number}")])
    link(folder / "3.link")
    return [str(folder)]


def to_itself(path):
    path.symlink_to(path.name)


def to_nothing(path):
    path.symlink_to("missing")


def through_a_file(path):
    path.symlink_to("0.jsonl/x")


def too_long(path):
    path.symlink_to("x" * 300)


def into_a_forbidden_folder(path):
    secret = path.parent.parent / "secret"
    secret.mkdir(mode=0)
    path.symlink_to(secret / "file")


@pytest.mark.parametrize(
    "link", [to_itself, to_nothing, through_a_file, too_long, into_a_forbidden_folder]
)
def test_a_broken_link_is_reported_and_the_other_files_are_read(tmp_path, link):
    tally = Tally()
    found = list(Reader(None, tally).read(find_files(folder_with(tmp_path, link), tally)))
    assert len(found) == 6
    (problem,) = tally.problems
    assert problem.where.endswith("3.link")


def test_a_link_to_another_folder_is_set_aside(tmp_path):
    tally = Tally()
    paths = folder_with(tmp_path, lambda path: path.symlink_to(tmp_path))
    assert len(find_files(paths, tally)) == 6 and tally.other == {"links to folders": 1}
    assert not tally.problems


def test_following_reports_an_unreadable_folder(tmp_path):
    (tmp_path / "x").mkdir()
    write_lines(tmp_path / "0.jsonl", [call("ListRoles")])
    with (
        closing(Watched([str(tmp_path)])) as watched,
        patch("os.scandir", refusing(tmp_path / "x")),
    ):
        assert [path.rpartition("/")[2] for path in watched.found()] == ["0.jsonl"]
        (problem,) = watched.problems
    assert "unreadable folder" in problem and str(tmp_path / "x") in problem


def refusing(folder):
    """Return a replacement for `os.scandir` that refuses one folder, even to root."""
    scan = os.scandir

    def listing(path):
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    return listing
