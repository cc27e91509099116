"""Tests that scheduled queries run in every period, over the records that had arrived by then."""

import math
from functools import partial

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.content.load import loaded_content
from local_panther.content.model import Content, Query, ScheduledRule
from local_panther.content.schedule import Schedule
from local_panther.content.sql import parse_sql
from local_panther.errors import RunErrors
from local_panther.lake import lake as lake_module
from local_panther.lake import scheduled as scheduled_module
from local_panther.lake import unread as unread_module
from local_panther.lake.dialect import transpile_sql
from local_panther.lake.gates import gate_for
from local_panther.lake.lake import Lake, QueryFailed
from local_panther.lake.reach import Reach
from local_panther.lake.scheduled import ScheduledQueries
from local_panther.lake.windows import Gate, windows_of
from tests.builders import hostile
from tests.builders.events import ALICE, REPO, START, call, read_record
from tests.scale import examples

MINUTE, HOUR, DAY = 60, 3600, 86_400
TABLE = "panther_logs.public.aws_cloudtrail"
WINDOW = f"SELECT eventID FROM {TABLE} WHERE p_occurs_since('1 h')"
ABSENCE = f"SELECT COUNT(*) AS n FROM {TABLE} WHERE p_occurs_since('1 h') HAVING COUNT(*) = 0"
NOW = f"SELECT eventID, current_timestamp AS t FROM {TABLE} WHERE p_occurs_since('1 h')"
EVERYTHING = f"SELECT COUNT(*) AS n FROM {TABLE}"
ARRIVED = f"SELECT eventID FROM {TABLE} WHERE p_occurs_since(30m, , p_parse_time)"
JOINED = (
    f"WITH recent AS (SELECT * FROM {TABLE} WHERE p_occurs_since('2 h')) SELECT a.eventID, "
    f"COUNT(*) OVER () AS n FROM recent a JOIN {TABLE} b ON a.eventID = b.eventID "
    "WHERE p_occurs_since('1 h', a) AND p_occurs_since('3 h', b) ORDER BY a.eventID LIMIT 5"
)
# Queries that compare a short window with a long history
LATELY = (
    f"WITH lately AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('1 h') "
    f"AND eventID IN ('1', '3', '5')), "
    f"before AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('4 h')) "
)
HABITS = (
    f"{LATELY}SELECT l.eventID, COUNT(b.t) AS n "
    "FROM lately l LEFT JOIN before b ON b.t < l.t GROUP BY l.eventID"
)
# The same with the sought values in a row of settings, and with functions
SETTINGS = (
    "WITH settings AS (SELECT 1 AS one, 'x' AS letter), "
    f"seen AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('1 h')), "
    "lately AS (SELECT seen.*, settings.letter FROM seen CROSS JOIN settings WHERE "
    "CONCAT(settings.letter, SPLIT_PART(eventID, '-', settings.one)) IN ('x1', 'x3', 'x5')), "
    f"before AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('4 h')) "
    "SELECT l.eventID, l.letter, COUNT(b.t) AS n FROM lately l CROSS JOIN settings "
    "LEFT JOIN before b ON b.t < DATEADD('minute', settings.one, l.t) GROUP BY l.eventID, l.letter"
)
# Refused calls and those before them: only calls with an error pass its gate.
REFUSED = (
    "WITH seen AS (SELECT eventID, p_event_time AS t, CASE WHEN COALESCE(errorCode, '') = '' "
    f"THEN 'success' ELSE 'failure' END AS outcome FROM {TABLE} WHERE p_occurs_since('1 h')), "
    "refused AS (SELECT DISTINCT eventID, t FROM seen WHERE outcome = 'failure'), "
    f"before AS (SELECT eventID, p_event_time AS t FROM {TABLE} WHERE p_occurs_since('4 h')) "
    "SELECT r.eventID, b.eventID AS other FROM refused r LEFT JOIN before b ON b.t < r.t"
)
QUERIES = (WINDOW, ABSENCE, NOW, EVERYTHING, ARRIVED, JOINED, HABITS, SETTINGS, REFUSED)


class Rows:
    """A replacement for scheduled rules that collects the rows that "Own.Rule" is called with."""

    def __init__(self, monkeypatch) -> None:
        self.seen: list[tuple[float, dict]] = []
        monkeypatch.setattr("local_panther.lake.scheduled.run_rule", self._collect)

    def _collect(self, rule, row, moment, where, errors) -> None:
        if rule.metadata.rule_id == "Own.Rule":
            self.seen.append((moment, row))

    def in_order(self) -> list[tuple[float, list[str]]]:
        return in_order(self.seen)

    def times(self) -> list[float]:
        return [(moment - START) / MINUTE for moment, _ in self.seen]


def in_order(seen: list[tuple[float, dict]]) -> list[tuple[float, list[str]]]:
    return sorted((at, sorted(map(str, row.items()))) for at, row in seen)


def content_of(queries: dict[str, str], rate: int = 15 * MINUTE) -> Content:
    """Return content with scheduled queries, given as SQL by name, and a rule for each."""
    schedule = Schedule(rate_seconds=rate)
    rules = {
        name: type("Rule", (), {"metadata": type("Metadata", (), {"rule_id": f"{name}.Rule"})})
        for name in queries
    }
    return Content(
        queries={name: Query(name, sql, schedule, ()) for name, sql in queries.items()},
        scheduled_rules=[ScheduledRule(rule, (name,)) for name, rule in rules.items()],
    )


def run(sql, arrivals, monkeypatch, rate=15 * MINUTE, beside="") -> tuple[Rows, RunErrors]:
    """Run a scheduled query while records arrive, given as event time and arrival in minutes.

    Another query may run beside it.
    """
    rows, errors = Rows(monkeypatch), RunErrors()
    monkeypatch.setattr(scheduled_module, "MIN_GATED_RUNS", 1)
    with Lake() as lake:
        queries = {"Own": sql} | ({"Other": beside} if beside else {})
        scheduled = ScheduledQueries(content_of(queries, rate), lake, errors)
        latest = -math.inf
        for number, (minute, arrival) in enumerate(arrivals):
            moment, latest = START + minute * MINUTE, max(latest, START + arrival * MINUTE)
            list(scheduled.advance(latest))
            record = numbered(number, moment)
            unread = scheduled.sees_failures_first
            lake.add(record, latest, lambda: Reach(scheduled.horizon), unread=unread)
            scheduled.note("ListRoles", moment)
        list(scheduled.finish(latest))
    return rows, errors


def numbered(number: int, moment: float):
    """Return a record by its number; one call in three is refused."""
    error = {"errorCode": "AccessDenied"} if number % 3 == 1 else {}
    return read_record(call("ListRoles", time=moment, eventID=str(number), **error))


def test_every_row_of_every_run_reaches_the_rule(monkeypatch):
    rows, _ = run(WINDOW, [(1, 1), (200, 200)], monkeypatch)
    assert rows.times() == [15, 30, 45, 60, 210]
    assert [row["eventID"] for _, row in rows.seen] == ["0"] * 4 + ["1"]


def test_a_query_for_absent_records_runs_without_any_records(monkeypatch):
    rows, _ = run(ABSENCE, [(1, 1), (200, 200)], monkeypatch)
    assert rows.times() == [75, 90, 105, 120, 135, 150, 165, 180, 195]


def test_a_run_does_not_see_records_that_arrive_after_it(monkeypatch):
    rows, _ = run(WINDOW, [(1, 1), (14, 16), (40, 40)], monkeypatch)
    seen = [(m, row["eventID"]) for m, (_, row) in zip(rows.times(), rows.seen, strict=True)]
    assert sorted(seen) == [(15, "0"), *((30, n) for n in "01"), *((45, n) for n in "012")]


def test_a_query_that_cannot_run_is_an_error(monkeypatch):
    sql = f"SELECT no_such_column FROM {TABLE} WHERE p_occurs_since('1 h')"
    rows, errors = run(sql, [(1, 1), (31, 31)], monkeypatch)
    assert not rows.seen and "no_such_column" in errors.examples[0].message


FAR = 40 * 365 * 1440  # minutes


def test_decades_without_a_record_cost_no_runs(monkeypatch):
    rows, errors = run(WINDOW, [(0, 0), (FAR, FAR)], monkeypatch, 120)
    assert len(rows.seen) == 32 and not errors.counts


def test_decades_of_runs_with_rows_but_no_records_are_cut_off_with_an_error(monkeypatch):
    monkeypatch.setattr("local_panther.lake.scheduled.MAX_RUNS_BETWEEN", 50)
    rows, errors = run(ABSENCE, [(0, 0), (FAR, FAR)], monkeypatch)
    assert len(rows.seen) == 50 and "left out" in errors.examples[0].message


arrivals = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 40)), min_size=1, max_size=12
).map(lambda found: sorted(((m, m + late) for m, late in found), key=lambda pair: pair[1]))


@pytest.mark.long
@pytest.mark.parametrize("sql", QUERIES)
@settings(max_examples=examples(15, 60))
@given(arrivals=arrivals)
def test_runs_executed_together_have_the_rows_of_each_run_alone(sql, arrivals):
    compare_with_single_runs(sql, arrivals)


def compare_with_single_runs(sql, arrivals):
    """Compare with the definition: each run alone, in a lake with only the records so far."""
    with pytest.MonkeyPatch.context() as patch:
        rows, errors = run(sql, arrivals, patch)
    assert not errors.counts
    expected = []
    first = START + arrivals[0][1] * MINUTE
    last = START + max(arrival for _, arrival in arrivals) * MINUTE
    moment = math.ceil(first / 900) * 900
    translated = transpile_sql(parse_sql(sql))
    with Lake() as lake:
        waiting = list(enumerate(arrivals))
        while moment < last + 900:
            while waiting and START + waiting[0][1][1] * MINUTE <= moment:
                number, (minute, arrival) = waiting.pop(0)
                at, came = START + minute * MINUTE, START + arrival * MINUTE
                lake.add(numbered(number, at), came)
            found = lake.query(translated, moment)
            expected += [(moment, row) for row in found]
            moment += 900
            if moment - 900 >= last:
                break

    assert rows.in_order() == in_order(expected)


@pytest.mark.long
@settings(max_examples=examples(25, 3000))
@given(sql=st.sampled_from(QUERIES), beside=st.sampled_from(QUERIES), arrivals=arrivals)
def test_a_query_has_the_same_rows_beside_any_other_query(sql, beside, arrivals):
    with pytest.MonkeyPatch.context() as patch:
        alone, _ = run(sql, arrivals, patch)
        together, errors = run(sql, arrivals, patch, beside=beside)
    assert not errors.counts and together.in_order() == alone.in_order()


@pytest.mark.parametrize("beside", [WINDOW, EVERYTHING, REFUSED])
def test_a_query_about_failed_calls_finds_them_beside_any_other_query(monkeypatch, beside):
    rows, _ = run(REFUSED, [(20 * n, 20 * n) for n in range(9)], monkeypatch, beside=beside)
    assert {row["eventID"] for _, row in rows.seen} == {"1", "4", "7"}


sides = st.sampled_from(
    ["lately", "before", f"(SELECT * FROM {TABLE} WHERE p_occurs_since('2 h'))"]
)
kinds = st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
results = st.sampled_from(
    [
        "a.eventID AS x, b.eventID AS y FROM {source}",
        "COUNT(*) AS n FROM {source}",
        "COUNT(*) AS n FROM {source} HAVING COUNT(*) = 0",
        "a.eventID, COUNT(b.eventID) AS n FROM {source} GROUP BY a.eventID",
        "a.eventID, COUNT(*) AS n FROM {source} GROUP BY ROLLUP (a.eventID)",
        "SUM(COUNT(*)) OVER () AS n FROM {source}",
        "a.eventID, COUNT(*) OVER () AS n FROM {source}",
        "a.eventID AS x FROM {source} EXCEPT SELECT eventID FROM lately",
        "a.eventID AS x FROM {source} UNION ALL SELECT eventID FROM before",
        "a.eventID AS x FROM {source} UNION SELECT eventID FROM lately",
        "a.eventID AS x FROM {source} INTERSECT SELECT eventID FROM lately",
        "found.n FROM (SELECT COUNT(*) AS n FROM {source}) AS found CROSS JOIN before",
        "found.n FROM (SELECT COUNT(*) AS n FROM {source}) AS found CROSS JOIN lately",
    ]
)


@settings(max_examples=examples(40, 4000), deadline=None)
@given(left=sides, kind=kinds, right=sides, result=results, arrivals=arrivals)
def test_no_run_that_has_rows_is_skipped(left, kind, right, result, arrivals):
    source = f"{left} AS a {kind} {right} AS b ON a.eventID = b.eventID"
    compare_with_single_runs(f"{LATELY}SELECT {result.format(source=source)}", arrivals)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (WINDOW, [15, 210, 315]),
        (ABSENCE, [15, 75, 210, 270, 315]),
        (HABITS, [210, 255]),  # the runs that see record 1 within the hour
        (SETTINGS, [210, 255]),
        (REFUSED, [210, 255]),
    ],
)
def test_a_run_that_cannot_have_rows_is_not_executed(monkeypatch, sql, expected):
    times = []
    original = Lake.runs

    def runs(lake, text, moments):
        if "needed" not in text:
            times.extend((moment - START) / MINUTE for moment in moments)
        return original(lake, text, moments)

    monkeypatch.setattr(Lake, "runs", runs)
    run(sql, [(1, 1), (200, 200), (310, 310)], monkeypatch)
    assert times == expected


def test_the_scheduled_query_of_this_repository_has_a_gate():
    with loaded_content(REPO) as content:
        scheduled = [query for query in content.queries.values() if query.schedule]
        needs = [windows_of(query).needs for query in scheduled]
    assert [bool(found.gate) and found.gate_window < math.inf for found in needs] == [True]


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


class TestWindows:
    """Tests of the windows that a query can see."""

    @pytest.mark.parametrize(
        ("sql", "reach", "repeatable"),
        [
            (WINDOW, HOUR, True),
            (ABSENCE, HOUR, True),
            (NOW, HOUR, False),
            (EVERYTHING, None, True),
            (ARRIVED, HOUR / 2, False),
            (JOINED, 3 * HOUR, True),
            (JOINED.replace("('3 h', b)", "('3 h')"), None, True),
            (f"SELECT 1 FROM {TABLE} WHERE NOT p_occurs_since('1 h')", None, True),
            (f"SELECT 1 FROM {TABLE} WHERE p_occurs_since('1 h') OR a = 1", None, True),
        ],
    )
    def test_windows_are_found_in_the_text_of_a_query(self, sql, reach, repeatable):
        windows = windows_of(Query("Own", sql, None, ()))
        assert (windows.reach, windows.repeatable) == (reach, repeatable)


class TestLimits:
    """Tests of the memory, disk and time that a lake needs."""

    def test_the_lake_keeps_only_records_that_a_run_can_still_see(self, monkeypatch):
        monkeypatch.setattr(lake_module, "FORGET_BYTES", 100_000)
        monkeypatch.setattr(lake_module, "BATCH_RECORDS", 50)
        with Lake() as lake:
            for number in range(1000):
                moment = START + number * MINUTE
                record = read_record(call("ListRoles", time=moment, eventID=str(number)))
                lake.add(record, moment, partial(Reach, moment - HOUR))
            (row,) = lake.query(f"SELECT COUNT(*) AS n, MAX(eventID) AS m FROM {TABLE}")
            assert 60 <= row["n"] <= 300
            (row,) = lake.query(f"SELECT COUNT(*) AS n FROM {TABLE} WHERE eventID >= '940'")
            assert row["n"] == 60

    def test_runs_that_wait_to_be_executed_together_do_not_make_the_lake_grow(self, monkeypatch):
        def most_stored(batch_bytes):
            monkeypatch.setattr(scheduled_module, "BATCH_BYTES", batch_bytes)
            rows, most = Rows(monkeypatch), 0
            with Lake() as lake:
                scheduled = ScheduledQueries(content_of({"Own": WINDOW}), lake, RunErrors())
                for number in range(1500):
                    moment = START + number * MINUTE
                    list(scheduled.advance(moment))
                    record = read_record(call("ListRoles", time=moment, eventID=str(number)))
                    lake.add(record, moment, lambda: Reach(scheduled.horizon))
                    scheduled.note("ListRoles", moment)
                    if number % 100 == 99:
                        (row,) = lake.query(f"SELECT COUNT(*) AS n FROM {TABLE}")
                        most = max(most, row["n"])
                list(scheduled.finish(moment))
            return most, sorted((time, row["eventID"]) for time, row in rows.seen)

        monkeypatch.setattr(lake_module, "FORGET_BYTES", 100_000)
        monkeypatch.setattr(lake_module, "BATCH_RECORDS", 50)
        few, found = most_stored(100_000)
        many, same = most_stored(10**9)
        assert few <= 500 < many
        assert found == same

    def test_unread_records_are_dropped_when_no_run_can_see_them(self, monkeypatch):
        monkeypatch.setattr(unread_module, "FILE_BYTES", 50_000)
        with Lake() as lake:
            for number in range(1000):
                moment = START + number * MINUTE
                lake.add(
                    numbered(number, moment), moment, partial(Reach, moment - HOUR), unread=True
                )
            assert lake.has_unread
            rows = lake.query(f"SELECT CAST(eventID AS INTEGER) AS n FROM {TABLE}")
            assert not lake.has_unread
        found = [row["n"] for row in rows]
        assert found == [*range(found[0], 1000)] and 840 < found[0] <= 940

    def test_the_lake_keeps_records_that_are_needed_around_a_time(self, monkeypatch):
        monkeypatch.setattr(lake_module, "FORGET_BYTES", 100_000)
        monkeypatch.setattr(lake_module, "BATCH_RECORDS", 50)
        times = [START + 250 * MINUTE, START + 500 * MINUTE, START + 530 * MINUTE]
        with Lake() as lake:
            for number in range(2000):
                moment = START + number * MINUTE
                record = read_record(call("ListRoles", time=moment, eventID=str(number)))
                lake.add(record, moment, partial(Reach.around, times, HOUR, moment - HOUR))
            rows = lake.query(f"SELECT CAST(eventID AS INTEGER) AS n FROM {TABLE}")
            kept = {row["n"] for row in rows}
            assert {*range(190, 311), *range(440, 591), *range(1940, 2000)} <= kept
            assert len(rows) == len(kept) < 1000 and not kept & {*range(190), *range(311, 440)}

    def test_no_character_hides_a_record_from_queries(self):
        texts = hostile.SHORT.values()
        with Lake() as lake:
            for number, text in enumerate(texts):
                lake.add(read_record(call("ListRoles", eventID=str(number), userAgent=text)))
            rows = lake.query(f"SELECT userAgent FROM {TABLE} ORDER BY CAST(eventID AS INTEGER)")
        assert lake.refused == 0 and len(rows) == len(texts)
        for row, text in zip(rows, texts, strict=True):
            found = row["userAgent"]
            is_kept = found == text or (len(found) == len(text) and not text.isprintable())
            assert is_kept, ascii(text)

    @pytest.mark.parametrize(
        "large", ["x" * 300_000, ["x" * 1000] * 300, {f"k{n}": "y" * 1000 for n in range(300)}]
    )
    def test_a_large_record_is_stored_with_its_long_strings_shortened(self, large):
        record = call("ListRoles", eventID="1", requestParameters={"roleName": "A", "big": large})
        with Lake() as lake:
            lake.add(read_record(record))
            (row,) = lake.query(
                "SELECT eventName, userIdentity->>'$.arn' AS arn, LENGTH(requestParameters) AS n, "
                f"requestParameters->>'$.roleName' AS name FROM {TABLE}"
            )
        assert (row["eventName"], row["name"], row["arn"]) == ("ListRoles", "A", ALICE["arn"])
        assert row["n"] < 50_000

    def test_a_query_that_takes_too_long_is_interrupted(self, monkeypatch):
        monkeypatch.setattr(lake_module, "QUERY_SECONDS", 0.2)
        endless = "SELECT SUM(a.range * b.range) AS n FROM range(1000000) a, range(1000000) b"
        with Lake() as lake:
            found = lake.runs(endless, [START])[START]
            assert isinstance(found, QueryFailed) and found.timed_out
            assert lake.query("SELECT 1 AS one") == [{"one": 1}]

    def test_a_query_with_too_many_rows_is_an_error(self, monkeypatch):
        monkeypatch.setattr(lake_module, "MAX_ROWS", 10)
        with Lake() as lake:
            found = lake.runs("SELECT * FROM range(11)", [START])[START]
            assert isinstance(found, QueryFailed) and "more than 10 rows" in found.message

    def test_large_records_are_stored_on_disk(self):
        text = "x" * 60_000  # a larger record is shortened
        with Lake() as lake:
            for number in range(2000):
                lake.add(read_record(call("ListRoles", eventID=str(number), userAgent=text)))
            (row,) = lake.query(f"SELECT COUNT(*) AS n, SUM(LENGTH(userAgent)) AS l FROM {TABLE}")
            assert (row["n"], row["l"]) == (2000, 2000 * len(text))

    def test_no_progress_bar_is_shown(self):
        with Lake() as lake:
            (row,) = lake.query("SELECT current_setting('enable_progress_bar') AS shown")
            assert row["shown"] in (False, "False", "false")

    def test_queries_cannot_read_files(self):
        with Lake() as lake, pytest.raises(duckdb.Error):
            lake.query("SELECT * FROM read_text('/etc/hostname')")
