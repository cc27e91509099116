"""--from and --to, in every command that reads records."""

import json
import re

import pytest

from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.builders.replays import simulated
from tests.cli.test_command_line import run

pytestmark = pytest.mark.process


def listings(status_out_err):
    """Return the number of ListRoles signals of a replay."""
    status, out, _ = status_out_err
    assert status == 0
    return int(re.search(r"IAMListRoles +([\d,]+)", out)[1])


@pytest.fixture
def trail(tmp_path):
    records = [
        call("ListRoles", time=START + 3600 * i, eventID=f"{i}")
        | {"sourceIPAddress": f"192.0.2.{i}"}
        for i in range(24)
    ]
    return write_lines(tmp_path / "trail.jsonl", records)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 24),
        (["--from", "2026-01-05T11:00:00Z"], 23),
        (["--to", "2026-01-05T11:00:00Z"], 1),
        (["--from", "2026-01-05T12:00:00+01:00", "--to", "2026-01-05 13:00"], 2),
        (["--from", "2026-01-06"], 10),
        (["--to", "2026-01-06"], 14),
    ],
)
def test_from_is_inclusive_and_to_is_exclusive(trail, arguments, count):
    assert listings(run("replay", trail, *arguments)) == count


@pytest.mark.parametrize("command", ["replay", "summary", "tune"])
def test_a_period_without_records_is_named_with_the_times_of_the_records(trail, command):
    status, out, _ = run(command, trail, "--from", "2027-01-01")
    assert status == 1
    assert out.startswith("no record from 2027-01-01T00:00:00Z: the ")
    assert "No alert" not in out and "nobody" not in out and "No principal" not in out


def test_the_summary_says_how_many_records_were_outside(trail):
    _, out, _ = run("replay", trail, "--from", "2026-01-05T11:00:00Z")
    assert "outside --from and --to  1 of those looked at" in out


def test_tune_counts_only_the_period(tmp_path):
    trail = simulated(tmp_path / "t", ordinary=0)
    for day, principals in (("2026-01-05", 1), ("2026-01-06", 0)):
        _, out, _ = run("tune", trail, "--from", day, "--format", "json")
        assert json.loads(out)["evidence"]["principals"] == principals


@pytest.mark.parametrize("command", ["replay", "tune"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "yesterday"], "'--from': 'yesterday' is not a time in ISO 8601, such as"),
        (["--to", "2026-02-30"], "'--to': '2026-02-30' is not a time in ISO 8601, such as"),
        (["--to", "20"], "'--to': '20' is not a time in ISO 8601, such as"),
        (["--from", "2026-01-06", "--to", "2026-01-06"], "--from must be earlier than --to"),
    ],
)
def test_an_unusable_period_is_a_clear_error(command, arguments, message, trail):
    status, out, err = run(command, trail, *arguments)
    assert status == 2 and out == "" and message in " ".join(err.split())
