"""Gates of scheduled queries: what they read, and when they are asked."""

import pytest

from local_panther.content.load import loaded_content
from local_panther.content.model import Query
from local_panther.content.sql import parse_sql
from local_panther.lake.gates import gate_for
from local_panther.lake.lake import Lake
from local_panther.lake.windows import Gate, windows_of
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, read_record, role_arn
from tests.builders.replays import replayed
from tests.builders.scheduled import TABLE

SEEN = "WITH seen AS (SELECT eventID, {columns} FROM {table} WHERE p_occurs_since('1 h'){more})"
PARTS = ", refused AS (SELECT eventID FROM seen WHERE {condition}), before AS (SELECT eventID FROM "
PARTS += "{table} WHERE p_occurs_since('4 h')) SELECT r.eventID FROM refused r {join}"
JOIN = "JOIN before ON before.eventID = r.eventID"


@pytest.mark.parametrize(
    ("columns", "more", "condition", "join", "expected"),
    [
        ("errorCode AS e", "", "e = 'AccessDenied'", JOIN, True),
        ("errorCode AS e", "", "e IS NOT NULL AND LENGTH(eventID) > 0", JOIN, True),
        ("NULLIF(errorCode, '') AS e", "", "NOT e IS NULL", JOIN, True),
        ("errorCode AS e", "", "IFF(e IS NULL, 'ok', 'no') = 'no'", JOIN, True),
        ("errorCode AS e", "", "e IS NULL", JOIN, False),
        ("errorCode AS e", "", "e = 'AccessDenied' OR eventID = '1'", JOIN, False),
        ("requestParameters:errorCode::string AS e", "", "e = 'AccessDenied'", JOIN, False),
        ("COUNT(*) OVER () AS n, errorCode AS e", "", "e <> ''", JOIN, False),
        ("errorCode AS e", " ORDER BY eventID LIMIT 5", "e <> ''", JOIN, False),
        ("errorCode AS e", "", "e <> ''", "JOIN seen ON seen.eventID = r.eventID " + JOIN, True),
        ("errorCode AS e", "", "e <> '' AND eventID IN (SELECT eventID FROM seen)", JOIN, False),
    ],
)
def test_a_gate_reads_only_failures_if_other_calls_cannot_matter(
    columns, more, condition, join, expected
):
    text = SEEN.format(columns=columns, table=TABLE, more=more)
    query = parse_sql(text + PARTS.format(table=TABLE, condition=condition, join=join))
    needs = windows_of(Query("Own", query.sql("snowflake"), None, ())).needs
    assert needs.gate and bool(gate_for(query, needs).of_failures) == expected


COUNTED = f"""WITH
failed AS (SELECT eventID FROM {TABLE} WHERE p_occurs_since('1 h') AND errorCode <> ''),
counted AS (SELECT COUNT(*) AS n FROM failed),
before AS (SELECT 1 FROM {TABLE} WHERE p_occurs_since('4 h'))
SELECT n FROM counted JOIN before ON TRUE"""


def gates() -> dict[str, Gate]:
    with loaded_content(REPO) as content:
        (ours,) = (query for query in content.queries.values() if query.schedule)
    queries = {"ours": ours, "counted": Query("Own", COUNTED, None, ())}
    return {name: gate_for(q.sql, windows_of(q).needs) for name, q in queries.items()}


@pytest.mark.long
def test_a_gate_that_needs_a_failed_call_is_not_run_without_one(monkeypatch):
    assert gates()["ours"].needs_calls
    with Lake() as lake:
        lake.add(read_record(call("AssumeRole")), unread=True)
        monkeypatch.setattr(lake, "_runs", lambda *_: pytest.fail("run"))
        assert lake.passed(gates()["ours"], [START]) == set()
        monkeypatch.setattr(lake, "_runs", lambda *_: {START: [{}]})
        lake.add(read_record(call("AssumeRole", errorCode="AccessDenied")), unread=True)
        assert lake.passed(gates()["ours"], [START]) == {START}


@pytest.mark.long
def test_a_gate_that_has_a_row_without_any_call_is_always_run():
    assert gates()["counted"].of_failures and not gates()["counted"].needs_calls


@pytest.mark.parametrize("broken", ["lake.scheduled._gate", "detection.rule_engine.Purity"])
def test_what_is_prepared_while_files_are_scanned_ends_no_replay_if_it_fails(
    tmp_path, monkeypatch, broken
):
    def fail(*_):
        raise RuntimeError("unexpected")

    monkeypatch.setattr(f"local_panther.{broken}", fail)
    monkeypatch.setattr("local_panther.lake.scheduled.found_before", lambda _, __, find: find())
    monkeypatch.setattr("local_panther.detection.rule_engine.FEW", 1)
    monkeypatch.setattr("local_panther.detection.rule_engine.FEW_OF_A_RULE", 0)
    failed = [denied(role_arn(f"Role{n}"), time=START + n, eventID=str(n)) for n in range(3)]
    outcome = replayed(write_lines(tmp_path / "trail.jsonl", failed))
    assert outcome.tally.wanted == 3 and not outcome.complete
    assert "RuntimeError: unexpected" in str(outcome.errors.examples)
