"""Tests that queries are checked before they are needed, and with the same result everywhere."""

import os
import subprocess
import sys

import pytest
import yaml

from local_panther.content.left_out import Reason
from local_panther.content.load import checked_content, loaded_content
from local_panther.content.sql_text import QueryTexts
from local_panther.errors import ContentError
from local_panther.instance.check.check import check
from local_panther.lake import dialect
from local_panther.lake.preparing import empty_lake
from local_panther.remembered import remember, remembered
from tests.builders.events import START
from tests.builders.replays import simulated

HEAD = """AnalysisType: {kind}_query
QueryName: Own Query
{schedule}# A comment between
Query: |-
"""
SCHEDULE = "Enabled: {enabled}\nSchedule: {{RateMinutes: 60, TimeoutMinutes: 5}}\n"
WRONG = [
    ("SELECT eventName\nFROM aws_cloudtrail\nWHERE eventNam = 'a'", 3, "did you mean eventName?"),
    ("SELECT eventName\nFROM aws_cloudtrial", 2, "aws_cloudtrial: did you mean aws_cloudtrail?"),
    ("SELECT eventName\nFROM aws_cloudtrail\nWHERE (eventName = 'a'", 3, "not a query"),
    ("SELECT\n  HASH(eventName)\nFROM aws_cloudtrail", 2, "the function HASH is not supported"),
    ("SELECT TO_CHAR(p_event_time,\n 'TZH') AS t FROM aws_cloudtrail", 1, "format 'TZH'"),
    ("SELECT 1 AS n\nFROM aws_cloudtrail a, aws_cloudtrail b\nWHERE eventID = 'x'", 3, "ambiguous"),
]


def write(folder, sql, *, kind="scheduled", enabled="true"):
    schedule = SCHEDULE.format(enabled=enabled) if kind == "scheduled" else ""
    head = HEAD.format(kind=kind, schedule=schedule)
    lines = [f"  {line}" for line in sql.splitlines()]
    path = folder / "queries" / "own.yml"
    path.write_text(head + "\n".join(lines) + "\n")
    return len(head.splitlines())


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache of one test, which may damage it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def small(tmp_path):
    """A folder for content of one query."""
    (tmp_path / "small" / "queries").mkdir(parents=True)
    return tmp_path / "small"


def problems_of(folder):
    return checked_content(folder, empty_lake).problems


def command(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "local_panther", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "300"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["scheduled", "saved"])
@pytest.mark.parametrize(("sql", "line", "message"), WRONG)
def test_an_invalid_query_is_a_problem_with_file_and_line(content_copy, sql, line, message, kind):
    first = write(content_copy, sql, kind=kind)
    (problem,) = problems_of(content_copy)
    assert problem.where == "queries/own.yml"
    assert (
        problem.message.startswith(f"Query, line {first + line}: ") and message in problem.message
    )


@pytest.mark.process
def test_all_commands_refuse_an_invalid_query_with_the_same_message(content_copy, tmp_path):
    first = write(content_copy, WRONG[0][0], kind="saved")
    expected = f"Query, line {first + 3}: there is no column eventNam: did you mean eventName?"
    trail = simulated(tmp_path / "trail")
    for arguments in (["test"], ["replay", trail]):
        code, output = command(content_copy, *arguments)
        assert code == 1 and f"queries/own.yml: {expected}" in output
    assert command(content_copy, "replay", trail, "--strict")[0] == 2
    checked = check(content_copy, tmp_path / "stored", tmp_path / "candidate")  # upload, validate
    assert [(p.where, p.message) for p in checked.problems] == [("queries/own.yml", expected)]


def test_a_valid_query_is_accepted_everywhere(content_copy, tmp_path):
    write(content_copy, "SELECT COUNT(*) AS n FROM aws_cloudtrail WHERE userIdentity:type = 'a'")
    assert list(problems_of(content_copy)) == []
    assert not check(content_copy, tmp_path / "stored", tmp_path / "candidate").problems


def test_a_disabled_query_is_not_checked(content_copy, tmp_path):
    write(content_copy, WRONG[0][0], enabled="false")
    assert list(problems_of(content_copy)) == []
    assert not check(content_copy, tmp_path / "stored", tmp_path / "candidate").problems


@pytest.mark.parametrize(
    "table",
    [
        "panther_logs.public.okta_systemlog",
        "panther_logs.public.aws_cloudtraildigest",
        "panther_rule_matches.public.aws_cloudtrail",
        "panther_views.public.all_logs",
        "snowflake.account_usage.login_history",
    ],
)
def test_a_query_over_another_table_is_left_out_and_named(content_copy, table):
    write(content_copy, f"SELECT HASH(x) FROM {table}")
    assert list(problems_of(content_copy)) == []
    with loaded_content(content_copy, checks=empty_lake) as content:
        assert "Own Query" in content.ids_left_out(Reason.TABLES)


def test_a_library_of_macros_is_not_checked_but_templates_that_use_it_are(content_copy):
    queries = content_copy / "queries"
    library = "-- pragma: template\n{% macro named(x) export %}\nLOWER({{ x }})\n{% endmacro %}\n"
    spec = {"AnalysisType": "saved_query", "QueryName": "mine", "Query": library}
    (queries / "library.yml").write_text(yaml.safe_dump(spec))
    use = "-- pragma: template\n{%% import 'mine' named %%}\nSELECT {{ named('%s') }} AS n\n"
    use += "FROM aws_cloudtrail"
    write(content_copy, use % "eventName", kind="saved")
    assert list(problems_of(content_copy)) == []
    first = write(content_copy, use % "eventName" + "\nWHERE readOnly\n  AND nowhere", kind="saved")
    (problem,) = problems_of(content_copy)
    assert f"Query, line {first + 6}: there is no column nowhere" in problem.message


def test_valid_queries_are_cached_and_invalid_ones_are_not(small, own_cache, monkeypatch):
    text = f"SELECT eventName FROM aws_cloudtrail WHERE awsRegion = '{START}'"
    write(small, text, kind="saved")
    assert list(problems_of(small)) == []
    prepared = []
    original = dialect.transpile_sql
    monkeypatch.setattr(dialect, "transpile_sql", lambda q: prepared.append(q) or original(q))
    assert list(problems_of(small)) == [] and prepared == []
    write(small, text.replace("eventName", "eventNam"), kind="saved")
    for _ in range(2):
        assert len(list(problems_of(small))) == 1
    assert len(prepared) == 2


@pytest.mark.process
def test_a_replay_from_the_cache_gives_the_same_alerts(content_copy, own_cache, tmp_path):
    trail = simulated(tmp_path / "trail", succeed=2)

    def alerts():
        status, output = command(content_copy, "replay", trail, "--format", "json")
        assert status == 0
        return [line for line in output.splitlines() if line.startswith("{")]

    new = alerts()
    assert '"CRITICAL"' in "".join(new) and alerts() == new
    database = own_cache / "local-panther" / "queries.sqlite"
    assert database.parent.stat().st_mode & 0o077 == 0
    content = bytearray(database.read_bytes())
    place = content.index(b"role_escalation")  # in the SQL of a query
    content[place : place + 4] = b"rule"
    database.write_bytes(content)
    assert alerts() == new


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_cache_is_replaced(small, own_cache, content):
    database = own_cache / "local-panther" / "queries.sqlite"
    database.parent.mkdir(parents=True, exist_ok=True)
    database.write_bytes(content)
    write(small, "SELECT eventName FROM aws_cloudtrail")
    for _ in range(2):  # the first may remove it
        assert list(problems_of(small)) == []
    assert remembered("prepared", "SELECT eventName FROM aws_cloudtrail") == ""


def test_a_cache_with_damaged_pages_is_replaced(own_cache):
    database = own_cache / "local-panther" / "queries.sqlite"
    database.unlink(missing_ok=True)
    texts = [f"SELECT {number}" for number in range(300)]
    remember("test", dict.fromkeys(texts, "x" * 500))
    content = database.read_bytes()
    database.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    found = [remembered("test", text) for text in texts]
    assert found.count(None) > 0 and set(found) <= {None, "x" * 500}
    remember("test", {"SELECT 1": "again"})  # the first may remove it
    remember("test", {"SELECT 1": "again"})
    assert remembered("test", "SELECT 1") == "again"


def test_the_oldest_entries_of_a_full_cache_are_dropped(own_cache, monkeypatch):
    monkeypatch.setattr("local_panther.remembered.MAX_REMEMBERED", 3)
    for number in range(5):
        remember("test", {f"SELECT {number}": str(number)})
    found = [remembered("test", f"SELECT {number}") for number in range(5)]
    assert found == [None, None, "2", "3", "4"]


def test_a_cache_that_cannot_be_written_is_ignored(small, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    write(small, "SELECT eventName FROM aws_cloudtrail")
    assert list(problems_of(small)) == []


def test_strict_loading_names_each_invalid_query(content_copy):
    write(content_copy, WRONG[1][0])
    expected = pytest.raises(ContentError, match="did you mean aws_cloudtrail")
    with expected, loaded_content(content_copy, checks=empty_lake):
        pass


MACRO = "-- pragma: template\n{{% macro column() export %}}{}{{% endmacro %}}\n"
TEMPLATE = "-- pragma: template\n{% import 'one' column %}\nSELECT {{ column() }} FROM t\n"


def test_a_template_is_rendered_again_if_the_names_of_its_macros_change():
    first, second = MACRO.format("first"), MACRO.format("second")
    assert "SELECT first" in QueryTexts({"one": first, "two": second}).rendered(TEMPLATE)
    assert "SELECT second" in QueryTexts({"two": first, "one": second}).rendered(TEMPLATE)
