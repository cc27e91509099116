"""Commands that write to a read-only mount: each prints a message and changes nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builders.unlisted import copy_content
from tests.cli.shortages import Shortage, run

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    """The state folder of an instance that was stopped."""
    folder = tmp_path_factory.mktemp("served")
    assert run(["serve", "--port", "0", "--state", "state"], folder, Shortage())[0] == 0
    return folder / "state"


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'


@pytest.fixture
def read_only(tmp_path) -> tuple[str, ...]:
    """Return a command that starts another one with its folder mounted read-only."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    within = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, str(folder))
    try:
        tried = subprocess.run([*within, "touch", "new"], capture_output=True, check=False)
    except OSError:
        tried = None
    if not tried or b"Read-only file system" not in tried.stderr:
        pytest.skip("this system lets nobody mount a folder read-only")
    return within


RULE = "RuleID=AWS.CloudTrail.IAMListRoles"
WRITERS = {
    "test": ["test", "--filter", RULE, "--junit", "old.xml"],
    "test --fix": ["test", "--fix", "--filter", RULE],
    "replay": ["replay", "TRAIL", "--report", "new.html"],
    "replay over a file": ["replay", "TRAIL", "--report", "old.html"],
    "replay --write-expected": ["replay", "TRAIL", "--write-expected", "old.yml"],
    "simulate": ["simulate", "old.jsonl", "--force"],
    "simulate a folder": ["simulate", "new"],
    "init": ["init", "new"],
    "init over a file": ["init", "."],
    "set": ["set", "THRESHOLD=5"],
    "serve": ["serve", "--port", "0", "--state", "new"],
    "serve a state": ["serve", "--port", "0", "--state", "state"],
}


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["results", "results, temporary files and cache"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_command_that_writes_to_a_read_only_mount_says_so(
    tmp_path, read_only, trail, state, writer, place
):
    folder = tmp_path / "mounted"
    copy_content(folder)
    config = folder / "global_helpers/aws_role_escalation_config.py"
    config.write_text(re.sub(r"(?m)^THRESHOLD = \d+", "THRESHOLD = 7", config.read_text()))
    for name in ("old.xml", "old.html", "old.yml", "old.jsonl"):
        (folder / name).write_text("old")
    for name in ("tmp", "cache"):
        (folder / name).mkdir()
    shutil.copytree(state, folder / "state")
    before = files_in(folder)
    names = {"TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"} if place != "results" else {}
    variables = {name: str(folder / value) for name, value in names.items()}
    command = [trail if part == "TRAIL" else part for part in WRITERS[writer]]
    status, out, err = run(command, folder, Shortage(environment=variables, within=read_only))
    assert "Traceback" not in out + err, err
    assert status in (1, 2) and "read-only file system" in err.lower(), (status, out, err)
    assert files_in(folder) == before
