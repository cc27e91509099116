"""Releases: what `make release` asks for, and what it makes."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.builders.events import REPO
from tools.release import release_notes

VERSION = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
CHANGES = "# Changes\n\n## Unreleased\n\n## 1.2.0 (2026-01-05)\n\n- New.\n\n## 1.1.0 (2026-01-01)\n"


def test_the_newest_version_of_the_change_log_is_that_of_the_package():
    changes = (REPO / "CHANGELOG.md").read_text()
    assert f"\n## {VERSION} (20" in changes
    assert changes.count("\n## Unreleased\n") == 1


def test_the_licence_is_there_in_full():
    text = (REPO / "LICENSE").read_text()
    assert "9. Accepting Warranty or Additional Liability." in text and len(text) > 11_000


def test_notes_are_the_section_of_the_version():
    assert release_notes(CHANGES, "1.2.0") == "- New.\n"


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        (CHANGES, "1.3.0"),
        (CHANGES, "1.1.0"),
        (CHANGES.replace(" (2026-01-05)", ""), "1.2.0"),
        (CHANGES.replace("Unreleased\n", "Unreleased\n\n- Not yet.\n"), "1.2.0"),
        ("# Changes\n", "1.2.0"),
    ],
)
def test_a_change_log_that_is_not_ready_is_refused(changes, version):
    with pytest.raises(ValueError, match=r"CHANGELOG\.md"):
        release_notes(changes, version)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path) -> Path:
    """A repository with what is tracked here, ready for a release."""
    folder = tmp_path / "clone"
    if not (REPO / ".git").exists():
        pytest.skip("a copy without its history: nothing is tracked that could be released")
    for name in git(REPO, "ls-files").splitlines():
        if (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, folder / name)
    changes = (folder / "CHANGELOG.md").read_text()
    above, below = changes.split("## Unreleased\n")
    released = below.split("\n## ", 1)[1]  # others may have added to what is not yet
    (folder / "CHANGELOG.md").write_text(f"{above}## Unreleased\n\n## {released}")
    git(folder, "init", "--quiet")
    git(folder, "config", "user.name", "A")
    git(folder, "config", "user.email", "a@example.com")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    return folder


def released(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, folder / "tools" / "release.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_release_has_a_wheel_notes_and_a_tag_and_is_made_once(clone):
    done = released(clone)
    assert done.returncode == 0, done.stderr
    (wheel,) = (clone / "build" / "release").glob("*.whl")
    assert wheel.name.startswith(f"local_panther-{VERSION}-")
    assert "local_panther/bundle/0.1.0.json" in zipfile.ZipFile(wheel).namelist()
    notes = (clone / "build" / "release" / "notes.md").read_text()
    assert notes.strip() in git(clone, "tag", "--list", "--format=%(contents)", f"v{VERSION}")
    again = released(clone)
    assert again.returncode == 1 and f"the tag v{VERSION} exists already" in again.stderr


def test_what_is_not_committed_is_not_released(clone):
    (clone / "README.md").write_text("changed")
    done = released(clone)
    assert done.returncode == 1 and "not committed" in done.stderr
    assert git(clone, "tag") == ""
