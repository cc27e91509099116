"""Commands under limits of the machine: each does its work, or fails with a message."""

import os
import re
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.builders.replays import simulated
from tests.builders.unlisted import copy_content
from tests.cli.test_command_line import COMMAND
from tests.scale import FULL

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]

COMMANDS = ("test", "replay", "tune", "query", "summary", "init", "serve")
MISSING = "/proc/nothing/can/be/made/here"


@dataclass(frozen=True)
class Shortage:
    """The limits that a command runs under.

    Attributes:
        limits: Limits of the process (RLIMIT_…).
        environment: Environment variables; None for one that is not set.
        within: Command that starts the command.
        is_enough: Whether commands can do all of their work despite the limits.
    """

    limits: dict[int, int] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    is_enough: bool = True


SHORTAGES = {  # in the order of COMMANDS: the ordinary tests try each with one command
    "files of at most 64 KB": Shortage({resource.RLIMIT_FSIZE: 64 << 10}, is_enough=False),
    "2 GB of address space": Shortage({resource.RLIMIT_AS: 2 << 30}),
    "no home": Shortage(environment={"HOME": None, "XDG_CACHE_HOME": None}),
    "a home that cannot be written": Shortage(
        environment={"HOME": MISSING, "XDG_CACHE_HOME": MISSING}
    ),
    "a missing temporary folder": Shortage(environment={"TMPDIR": MISSING}),
    "64 descriptors": Shortage({resource.RLIMIT_NOFILE: 64}),
    "no room at all": Shortage({resource.RLIMIT_FSIZE: 0}, is_enough=False),
}
TRIED = [
    (shortage, command)
    for number, shortage in enumerate(SHORTAGES)
    for place, command in enumerate(COMMANDS)
    if FULL or shortage == "no room at all" or place == number
]


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> Path:
    return copy_content(tmp_path_factory.mktemp("starved") / "content")


@pytest.fixture(scope="module")
def trail(tmp_path_factory) -> Path:
    return simulated(tmp_path_factory.mktemp("starved") / "trail.jsonl")


def arguments(command: str, content: Path, trail: Path, folder: Path) -> list[str | Path]:
    with_content = {
        "replay": [trail, "--report", folder / "report.html"],
        "tune": [trail],
        "query": ["AWS Role Escalation Hunt", trail],
        "summary": [trail],
    }
    if command in with_content:
        return [command, *with_content[command], "--content", content]
    return {
        "test": ["test", "--path", content, "--filter", "RuleID=AWS.CloudTrail.IAMListRoles"],
        "init": ["init", folder / "new"],
        "serve": ["serve", "--port", "0", "--state", folder / "state"],
    }[command]


def run(command: list[str | Path], folder: Path, shortage: Shortage) -> tuple[int, str, str]:
    """Run a command, and stop a server that has started; return status and output."""
    environment = dict(os.environ) | shortage.environment

    def limit() -> None:
        for which, value in shortage.limits.items():
            resource.setrlimit(which, (value, value))

    process = subprocess.Popen(
        [*shortage.within, COMMAND, *map(str, command)],
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    started = process.stdout.readline() if command[0] == "serve" else ""
    if started:
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    return process.returncode, started + out, err


@pytest.mark.parametrize(("shortage", "command"), TRIED)
def test_a_command_under_limits_works_or_fails_with_a_message(
    tmp_path, content, trail, shortage, command
):
    found = SHORTAGES[shortage]
    given = arguments(command, content, trail, tmp_path)
    status, out, err = run(given, tmp_path, found)
    assert "Traceback" not in out + err, err
    if found.is_enough:
        assert status == 0, err
        if command in ("tune", "query", "summary"):
            assert out == run(given, tmp_path, Shortage())[1]
    else:
        assert status == 0 or (status in (1, 2) and err.strip())
    if shortage == "no room at all":
        assert status in (1, 2) and ("temporary" in err or "too large" in err), err
    assert not (tmp_path / "new").exists() or (tmp_path / "new/rules").is_dir()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Return a function that mounts a file system of some KB; skip the test if it may not."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a file system cannot be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.mark.parametrize("command", COMMANDS if FULL else ("replay", "init", "serve"))
@pytest.mark.parametrize("size", [4, 64, 512] if FULL else [64])
def test_a_full_disk_is_a_message_and_leaves_nothing_half_done(
    small_disk, tmp_path, content, trail, command, size
):
    """Temporary files, cache and results are on a disk that fills up in the middle of the work."""
    disk = small_disk(size)
    short = Shortage(environment={"TMPDIR": str(disk), "XDG_CACHE_HOME": str(disk / "cache")})
    status, out, err = run(arguments(command, content, trail, disk), disk, short)
    assert "Traceback" not in out + err, err
    assert status == 0 or (status in (1, 2) and (err.strip() or "error" in out)), out
    report = disk / "report.html"
    assert not report.exists() or report.read_text().rstrip().endswith("</html>")
    assert not (disk / "new/rules").exists() or status == 0


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
    tmp_path, read_only, trail, writer, place
):
    folder = tmp_path / "mounted"
    copy_content(folder)
    config = folder / "global_helpers/aws_role_escalation_config.py"
    config.write_text(re.sub(r"(?m)^THRESHOLD = \d+", "THRESHOLD = 7", config.read_text()))
    for name in ("old.xml", "old.html", "old.yml", "old.jsonl"):
        (folder / name).write_text("old")
    for name in ("tmp", "cache"):
        (folder / name).mkdir()
    assert run(["serve", "--port", "0", "--state", "state"], folder, Shortage())[0] == 0
    before = files_in(folder)
    names = {"TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"} if place != "results" else {}
    variables = {name: str(folder / value) for name, value in names.items()}
    command = [trail if part == "TRAIL" else part for part in WRITERS[writer]]
    status, out, err = run(command, folder, Shortage(environment=variables, within=read_only))
    assert "Traceback" not in out + err, err
    assert status in (1, 2) and "read-only file system" in err.lower(), (status, out, err)
    assert files_in(folder) == before
