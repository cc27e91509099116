"""`local-panther query`: saved queries over recorded CloudTrail."""

import csv
import io
import json
import re

import pytest
import yaml
from sqlglot import exp

from local_panther.content.sql import parse_sql
from local_panther.output.rows import FORMULA_STARTS
from tests.builders import hostile
from tests.builders.content import write_lines, write_rules
from tests.builders.events import START, call, denied, role_arn
from tests.builders.replays import simulated
from tests.cli.test_command_line import run

pytestmark = pytest.mark.process

CALLS = "AWS Role Calls of a Principal"
ALERT = [
    "--set=principal=arn:aws:iam::123456789012:user/mallory",
    "--set=alert_time=2026-01-05 10:30:00",
]


@pytest.fixture
def trail(tmp_path):
    return simulated(tmp_path / "trail", succeed=1)


def test_without_a_name_it_lists_every_query_with_its_parameters():
    status, out, _ = run("query")
    lines = out.splitlines()
    assert status == 0 and "AWS Role Escalation Hunt" in lines
    assert lines[lines.index("AWS Activity From an Address") + 1] == "  address, alert_time"
    assert lines[lines.index("AWS Role Escalation Succeeded") + 1] == "  no parameters"


def test_the_three_formats_have_the_same_rows(trail):
    outputs = {}
    for form in ("table", "csv", "json"):
        status, outputs[form], _ = run("query", CALLS.lower(), trail, *ALERT, "--format", form)
        assert status == 0
    rows = [json.loads(line) for line in outputs["json"].splitlines()]
    assert [row["mark"] for row in rows].count("failure") == 12
    assert [row["mark"] for row in rows].count("success") == 1
    read = list(csv.DictReader(io.StringIO(outputs["csv"])))
    assert read == [{k: "" if v is None else v for k, v in row.items()} for row in rows]
    assert f"{len(rows)} rows" in outputs["table"]
    assert all(row["event_id"] in outputs["table"] for row in rows if row["event_id"])


def test_a_query_reads_only_the_period(trail):
    _, out, _ = run("query", CALLS, trail, *ALERT, "--to", "2026-01-05T10:16", "--format", "json")
    assert '"success"' not in out and '"failure"' in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["AWS Role Calls"], "name files or folders of CloudTrail after the query's name"),
        (["Role Calls", "."], "no query named 'Role Calls'; did you mean \"AWS Role Calls of a"),
        (["AWS Role Cals of a Principal", "."], 'did you mean "AWS Role Calls of a Principal"'),
        (["zzz", "."], "there is no query named 'zzz'; local-panther query lists them"),
        ([CALLS, "."], "needs --set alert_time=… and --set principal=…"),
        ([CALLS, ".", ALERT[0]], "needs --set alert_time=…"),
        (
            ["AWS Role Session Activity", ".", ALERT[1]],
            "needs --set access_key_id=… or --set session_arn=…",
        ),
        (
            [CALLS, ".", "--set=who=me"],
            "has no parameter who; its parameters: principal, alert_time",
        ),
        ([CALLS, ".", "--set", "principal"], "--set 'principal' is not NAME=VALUE"),
    ],
)
def test_unusable_arguments_say_what_to_do(arguments, message):
    status, out, err = run("query", *arguments)
    assert status == 2 and out == "" and message in " ".join(err.split())


def test_an_invalid_time_is_a_clear_error(trail):
    status, out, err = run("query", CALLS, trail, ALERT[0], "--set=alert_time=soon")
    assert status == 2 and out == "" and "--set alert_time=…: 'soon' is not a time" in err


def test_an_unreadable_file_is_named_and_the_others_are_queried(trail):
    (trail / "broken.json").write_text('{"Records": [7]}')
    status, out, err = run("query", CALLS, trail, *ALERT, "--format", "json")
    assert status == 1 and len(out.splitlines()) >= 13
    assert "broken.json, record 1: record is not an object" in " ".join(err.split())


def test_text_from_a_log_is_neither_a_formula_nor_a_command_to_a_terminal(tmp_path):
    agents = [text for text in hostile.SHORT.values() if text]
    records = [
        denied(role_arn("A"), time=START + i, eventID=f"{i}", userAgent=agent)
        for i, agent in enumerate(agents)
    ]
    trail = write_lines(tmp_path / "t.jsonl", records)
    settings = ["--set=principal=arn:aws:iam::123456789012:user/alice", ALERT[1]]
    status, out, _ = run("query", CALLS, trail, *settings, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert status == 0
    assert len(rows) == len(agents)
    for row, agent in zip(rows, agents, strict=True):
        is_formula = agent.lstrip(" ").startswith(FORMULA_STARTS)
        if agent.isprintable():
            assert row["user_agent"] == ("'" if is_formula else "") + agent
        assert not row["user_agent"].lstrip(" ").startswith(FORMULA_STARTS)
    _, out, _ = run("query", CALLS, trail, *settings)
    assert [c for c in set(out) if not (c.isprintable() or c == "\n")] == []


def test_macros_are_neither_listed_nor_run(trail):
    _, out, _ = run("query")
    assert "aws_role_macros" not in out
    status, out, err = run("query", "aws_role_macros", trail)
    message = "aws_role_macros: has macros for other queries to import, and nothing to run"
    assert status == 2 and out == "" and message in " ".join(err.split())


class TestSql:
    """The output of --sql."""

    def test_the_sql_is_what_an_instance_runs_with_all_imports(self):
        status, out, _ = run("query", "aws role escalation hunt", "--sql")
        assert status == 0 and out.startswith("WITH settings AS (\n  SELECT\n")
        assert "{" not in re.sub(r"\\d\{12\}", "", out) and "pragma" not in out
        assert out.endswith("LIMIT 1000\n") and isinstance(parse_sql(out), exp.Select)

    def test_the_sql_has_the_values_that_are_set(self):
        number = "--set=minutes_around=300"
        _, out, _ = run("query", CALLS, "--sql", *ALERT, number)
        head = out[: out.index("settings AS")]
        assert re.findall(r"(\S.*) AS (\w+)", head) == [
            ("'arn:aws:iam::123456789012:user/mallory'", "principal"),
            ("'2026-01-05 10:30:00'::timestamp", "alert_time"),
            ("300", "minutes_around"),
        ]
        _, examples, _ = run("query", CALLS, "--sql")
        assert "'arn:aws:iam::123456789012:user/alice' AS principal" in examples

    def test_the_sql_gives_the_same_answer_as_the_query(self, trail, tmp_path):
        """The printed SQL is pasted into a query of its own."""
        _, sql, _ = run("query", CALLS, "--sql", *ALERT)
        folder = write_rules(tmp_path / "content", some="def rule(event):\n    return False\n")
        (folder / "queries").mkdir()
        spec = {"AnalysisType": "saved_query", "QueryName": "Pasted", "SnowflakeQuery": sql}
        (folder / "queries/pasted.yml").write_text(yaml.safe_dump(spec))
        pasted = run("query", "Pasted", trail, *ALERT, "--content", folder, "--format", "csv")
        assert pasted[:2] == run("query", CALLS, trail, *ALERT, "--format", "csv")[:2]
        assert pasted[1].count("failure") == 12

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([CALLS, "--sql", "some-folder"], "--sql prints the query and reads nothing"),
            ([CALLS, "--sql", ALERT[0]], "needs --set alert_time=…"),
            ([CALLS, "--sql", "--set=who=me"], "has no parameter who; its parameters: principal"),
        ],
    )
    def test_no_sql_is_printed_for_unusable_arguments(self, arguments, message):
        status, out, err = run("query", *arguments)
        assert status == 2 and out == "" and message in " ".join(err.split())


def test_any_repository_has_its_own_queries(tmp_path):
    folder = write_rules(tmp_path / "content", some="def rule(event):\n    return False\n")
    (folder / "queries").mkdir()
    sql = """-- pragma: template
    {% import 'Parts' counted %}
    WITH parameters AS (SELECT 'x' AS name)
    {{ counted() }} WHERE eventName = (SELECT name FROM parameters)"""
    parts = "-- pragma: template\n{% macro counted() export %}SELECT COUNT(*) AS n FROM "
    parts += "panther_logs.public.aws_cloudtrail{% endmacro %}"
    for name, text in (("Mine", sql), ("Parts", parts), ("Okta", "SELECT 1 FROM okta_systemlog")):
        spec = {"AnalysisType": "saved_query", "QueryName": name, "Query": text}
        (folder / "queries" / f"{name}.yml").write_text(yaml.safe_dump(spec))
    trail = write_lines(tmp_path / "t.jsonl", [call("ListRoles"), call("GetUser")])
    arguments = ["--content", folder, "--format", "json"]
    status, out, _ = run("query", "Mine", trail, "--set=name=GetUser", *arguments)
    assert status == 0 and json.loads(out) == {"n": 1}
    status, _, err = run("query", "Okta", trail, *arguments)
    assert status == 2 and "must read aws_cloudtrail alone" in err
    status, out, _ = run("query", "--content", folder)
    assert status == 0 and "cannot run here" in out and "  name\n" in out and "Parts" not in out
    status, out, _ = run("query", "Okta", "--sql", "--content", folder)
    assert status == 0 and out == "SELECT 1 FROM okta_systemlog\n"


@pytest.mark.parametrize("name", [CALLS, "AWS Role Attempt Targets"])
def test_a_number_is_set_as_a_number(trail, name):
    counts = []
    for minutes in (1, 60):
        settings = [*ALERT, f"--set=minutes_around={minutes}"]
        status, out, _ = run("query", name, trail, *settings, "--format", "json")
        assert status == 0
        counts.append(len(out.splitlines()))
    assert counts[0] < counts[1]


def test_a_time_with_an_offset_is_converted(trail):
    outputs = set()
    for time in ("2026-01-05 10:30:00", "2026-01-05T15:30:00+05:00"):
        settings = [ALERT[0], f"--set=alert_time={time}"]
        outputs.add(run("query", CALLS, trail, *settings, "--format", "json")[1])
    assert len(outputs) == 1 and outputs.pop()


def test_a_value_of_the_wrong_type_is_refused(trail):
    status, _, err = run("query", CALLS, trail, *ALERT, "--set=minutes_around=soon")
    assert status == 2 and "--set minutes_around=…: 'soon' is not a number" in err
