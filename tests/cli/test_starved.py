"""Commands under limits of the machine: each does its work, or fails with a message."""

import resource

import pytest

from tests.cli.shortages import COMMANDS, Shortage, arguments, run
from tests.scale import FULL

pytestmark = [pytest.mark.attack("processes"), pytest.mark.process]

MISSING = "/proc/nothing/can/be/made/here"

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
