"""Commands on a full disk: each prints a message and leaves nothing half done."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.shortages import COMMANDS, Shortage, arguments, run
from tests.scale import FULL

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]


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
