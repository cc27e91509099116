"""Endless queries, and the assertion that a signal stops them."""

import os
import signal

import yaml

from tests.builders.content import write_calls, write_rules
from tests.builders.events import REPO
from tests.builders.processes import assert_stops, busy_seconds
from tests.builders.replays import started
from tests.cli.test_command_line import COMMAND
from tests.instance.servers import eventually

TABLE = "panther_logs.public.aws_cloudtrail"
ONE_CALL = "SELECT EDITDISTANCE({0}, REVERSE({0})) AS n FROM " + TABLE
QUERIES = {
    "of one call": ONE_CALL.format("REPEAT(eventID, 100000)"),
    "of constants, in one call": ONE_CALL.format("REPEAT('ab', 1000000)"),
    "that generates rows": f"SELECT COUNT(*) AS n FROM {TABLE} a, {TABLE} b, {TABLE} c, "
    f"{TABLE} d, {TABLE} e WHERE a.eventID || b.eventID || c.eventID <> d.eventID || e.eventID",
}


def assert_query_stops(tmp_path, command: str, query: str, stop: signal.Signals) -> None:
    """Assert that a signal stops a command during a query, and that nothing is left of it."""
    (temporary := tmp_path / "tmp").mkdir()
    trail = write_calls(tmp_path / "t.jsonl", 100)
    content = write_rules(tmp_path / "content", a="def rule(event):\n    return False\n")
    (content / "queries").mkdir()
    spec = {"QueryName": "Endless", "SnowflakeQuery": QUERIES[query]}
    if command == "query":
        spec |= {"AnalysisType": "saved_query"}
    else:
        schedule = {"RateMinutes": 60, "TimeoutMinutes": 5}
        spec |= {"AnalysisType": "scheduled_query", "Enabled": True, "Schedule": schedule}
    (content / "queries/endless.yml").write_text(yaml.safe_dump(spec))
    name = ["Endless"] if command == "query" else []
    process = started(
        [COMMAND, command, *name, trail, "--content", content],
        cwd=REPO,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert eventually(lambda: busy_seconds(process.pid) > 1.5 or process.poll() is not None, 60)
    assert process.poll() is None, process.communicate()
    err = assert_stops(process, stop, temporary, seconds=10)
    assert stop == signal.SIGKILL or err.splitlines()[-1] == b"interrupted"
