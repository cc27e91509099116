"""`make release`: its conditions and results."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.builders.events import REPO
from tools.release import check_contents, release_notes

pytestmark = [pytest.mark.process, pytest.mark.attack("supply")]

VERSION = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
CHANGES = "# Changes\n\n## Unreleased\n\n## 1.2.0 (2026-01-05)\n\n- New.\n\n## 1.1.0 (2026-01-01)\n"


def test_the_newest_version_in_the_change_log_is_that_of_the_package():
    changes = (REPO / "CHANGELOG.md").read_text()
    assert f"\n## {VERSION} (20" in changes
    assert changes.count("\n## Unreleased\n") == 1


def test_the_licence_is_complete():
    text = (REPO / "LICENSE").read_text()
    assert "9. Accepting Warranty or Additional Liability." in text and len(text) > 11_000


def test_release_notes_are_the_section_of_the_version():
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
def test_an_unfinished_change_log_is_refused(changes, version):
    with pytest.raises(ValueError, match=r"CHANGELOG\.md"):
        release_notes(changes, version)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path) -> Path:
    """Return a repository with the files tracked here, ready for a release."""
    folder = tmp_path / "clone"
    if not (REPO / ".git").exists():
        pytest.skip("a copy without history has no tracked files to release")
    for name in git(REPO, "ls-files").splitlines():
        if (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, folder / name)
    changes = (folder / "CHANGELOG.md").read_text()
    above, below = changes.split("## Unreleased\n")
    released = below.split("\n## ", 1)[1]  # without unreleased entries
    (folder / "CHANGELOG.md").write_text(f"{above}## Unreleased\n\n## {released}")
    (folder / "build").mkdir()
    bill = {"bomFormat": "CycloneDX", "metadata": {"component": {"version": VERSION}}}
    (folder / "build" / "sbom.cdx.json").write_text(json.dumps(bill))
    git(folder, "init", "--quiet")
    git(folder, "config", "user.name", "A")
    git(folder, "config", "user.email", "a@example.com")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    return folder


def released(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, folder / "tools" / "release.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_release_has_a_wheel_notes_and_a_tag_and_cannot_be_repeated(clone):
    done = released(clone)
    assert done.returncode == 0, done.stderr
    (wheel,) = (clone / "build" / "release").glob("*.whl")
    assert wheel.name.startswith(f"local_panther-{VERSION}-")
    assert "local_panther/bundle/0.1.0.json" in zipfile.ZipFile(wheel).namelist()
    notes = (clone / "build" / "release" / "notes.md").read_text()
    assert notes.strip() in git(clone, "tag", "--list", "--format=%(contents)", f"v{VERSION}")
    output = clone / "build" / "release"
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=output, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{wheel.name}: OK", "sbom.cdx.json: OK"]
    again = released(clone)
    assert again.returncode == 1 and f"the tag v{VERSION} exists already" in again.stderr


@pytest.mark.parametrize(
    ("bill", "reason"),
    [
        (None, "is no bill of materials"),
        ({"bomFormat": "CycloneDX", "metadata": {}}, "is no bill of materials"),
        ({"bomFormat": "CycloneDX", "metadata": {"component": {"version": "0.0.1"}}}, "0.0.1"),
    ],
)
def test_a_bill_of_materials_of_another_release_is_refused(clone, bill, reason):
    path = clone / "build" / "sbom.cdx.json"
    path.unlink() if bill is None else path.write_text(json.dumps(bill))
    done = released(clone)
    assert done.returncode == 1 and reason in done.stderr and "make sbom" in done.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("local_panther/secret.txt", "git does not track, local_panther/secret.txt"),
        ("tests/x.py", "git does not track, tests/x.py"),
        ("local_panther-1.dist-info/other", "git does not track, local_panther-1.dist-info/other"),
        (None, "lacks local_panther/b.py"),
    ],
)
def test_a_wheel_must_contain_exactly_the_tracked_files(tmp_path, name, reason):
    tracked = ["local_panther/a.py", "local_panther/b.py", "rules/c.yml", "README.md"]
    inside = ["local_panther/a.py", "local_panther/bundle/content/rules/c.yml"]
    inside += ["local_panther-1.dist-info/RECORD"]
    whole = [*inside, "local_panther/b.py"]
    wheel = tmp_path / "x.whl"
    for names, is_right in ((whole, True), ([*whole, name] if name else inside, False)):
        with zipfile.ZipFile(wheel, "w") as archive:
            for entry in names:
                archive.writestr(entry, "")
        if is_right:
            check_contents(wheel, tracked)
        else:
            with pytest.raises(ValueError, match=re.escape(reason)):
                check_contents(wheel, tracked)


def test_uncommitted_changes_prevent_a_release(clone):
    (clone / "README.md").write_text("changed")
    done = released(clone)
    assert done.returncode == 1 and "not committed" in done.stderr
    assert git(clone, "tag") == ""
