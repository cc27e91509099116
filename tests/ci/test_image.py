"""The Dockerfile, whose context has only the files that the build needs."""

import fnmatch
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.builders.events import REPO
from tests.builders.wheels import built_wheel

pytestmark = pytest.mark.process


def context(folder: Path) -> Path:
    """Copy the files that .dockerignore lets into the build."""
    rules = (REPO / ".dockerignore").read_text().splitlines()
    assert rules[0] == "*"
    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        source = REPO / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        ignored = {"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {}
        copy(source, folder / name, **ignored)
    return folder


def test_the_context_gives_the_same_wheel_as_the_repository(tmp_path):
    for name in ("context", "one", "other"):
        (tmp_path / name).mkdir()
    wheels = (
        built_wheel(tmp_path / "one"),
        built_wheel(tmp_path / "other", context(tmp_path / "context")),
    )
    one, other = (
        {name: archive.read(name) for name in archive.namelist()}
        for archive in map(zipfile.ZipFile, wheels)
    )
    assert one == other


def test_the_image_runs_as_a_user_and_starts_the_command():
    lines = (REPO / "Dockerfile").read_text().splitlines()
    user = next(line for line in lines if line.startswith("USER "))
    assert int(user.split()[1]) > 0
    assert 'ENTRYPOINT ["local-panther"]' in lines
    assert all(fnmatch.fnmatch(line, "FROM python:3.11-*") for line in lines if "FROM" in line[:4])
