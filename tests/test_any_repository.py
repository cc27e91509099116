"""All commands work on a repository of a thousand items such as others could have written."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_panther.content.left_out import LeftOut, Reason, problem_lines, summary_lines
from local_panther.content.load import loaded_content
from local_panther.content.sql import parse_sql
from local_panther.content.sql_text import QueryTexts, parsable_macros
from local_panther.errors import ContentError, FieldError
from local_panther.lake.dialect import transpile_sql
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.builders.replays import replayed
from tests.builders.repositories import repository

pytestmark = pytest.mark.process

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def thousand(tmp_path_factory) -> Path:
    return repository(tmp_path_factory.mktemp("thousand"))


@pytest.fixture
def small(tmp_path) -> Path:
    return repository(tmp_path / "small", items=40)


def trail(folder: Path, *names: str) -> Path:
    records = [call(name, time=START + i, eventID=str(i)) for i, name in enumerate(names)]
    return write_lines(folder / "trail.jsonl", records)


def edit(folder: Path, name: str, **fields) -> None:
    path = next(folder.rglob(f"{name}.yml"))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | fields))


def test_all_tests_pass_with_every_filter_and_without_a_warning(thousand):
    done = subprocess.run(
        [BIN / "local-panther", "test"], cwd=thousand, capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-2000:]
    assert "WARNING" not in output and "ERROR" not in output
    assert re.search(r"Passed: 9\d\d\n\tSkipped: \d+\n\tFailed: 0\n\tInvalid: 0", output)


def test_a_replay_runs_items_for_cloudtrail_and_counts_the_others(thousand, tmp_path):
    outcome = replayed(trail(tmp_path, "Own.Rule.4", "Own.Empty.Filter", "x"), content=thousand)
    assert outcome.complete
    assert outcome.signals["Own.Rule.4"] == outcome.signals["Own.Empty.Filter"] == 1
    lines = list(summary_lines(outcome.content.left_out))
    assert any(re.match(r"disabled: \d+ items", line) for line in lines)
    assert re.match(r"\d+ not replayed: 6\d\d for other log types, ", lines[-1])
    for part in ("1 policies", "1 queries over other tables", "1 scheduled rules without"):
        assert part in lines[-1]
    assert "Own.Correlation.Own.Rule.5" in outcome.content.ids_left_out(Reason.NO_STEPS)


def test_the_repository_loads_without_problems(thousand):
    with loaded_content(thousand, include_disabled=True) as content:
        assert not content.problems and len(content.rules) > 200


def test_an_invalid_filter_fails_its_own_rule_and_disables_no_other(small):
    wrong = [{"KeyPath": "eventName", "Condition": "Resembles", "Value": "x"}]
    edit(small, "own_rule_5", InlineFilters=wrong)
    never = [{"KeyPath": "eventName", "Condition": "Equals", "Value": "never"}]
    edit(small, "own_rule_6", InlineFilters=never)
    done = subprocess.run(
        [BIN / "local-panther", "test"], cwd=small, capture_output=True, text=True
    )
    assert done.returncode == 1 and "'Resembles' is not a known condition" in done.stderr
    failed = done.stdout.partition("Failed Tests Summary")[2]
    # The filter of the second rule is applied, so that its test that expects a match fails.
    assert re.findall(r"Own\.\S+", failed) == ["Own.Rule.5", "Own.Rule.6"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"InlineFilters": [{"KeyPath": "a", "Condition": "Resembles"}]}, "not a known condition"),
        ({"LogTypes": ["AWS.Cloudtrail"]}, "did you mean AWS.CloudTrail?"),
        ({"LogTypes": ["Nobody.Knows"]}, "Nobody.Knows is not a known log type"),
        ({"Severity": "Dreadful"}, "Severity"),
        ({"Filename": "missing.py"}, "missing.py cannot be read"),
    ],
)
def test_an_invalid_item_affects_no_other(small, tmp_path, fields, reason):
    edit(small, "own_rule_4", **fields)
    outcome = replayed(trail(tmp_path, "Own.Rule.8"), content=small)
    assert outcome.signals["Own.Rule.8"] == 1 and not outcome.complete
    lines = [*problem_lines(outcome.content.left_out)]
    (line,) = (line for line in lines if line.startswith("left out: rules/own_rules/"))
    assert "/own_rule_4.yml: " in line and reason in line
    with pytest.raises(ContentError, match=re.escape(reason)), loaded_content(small):
        pass


def test_a_rule_whose_module_is_missing_says_how_to_get_it(small):
    (small / "rules/own_rules/own_rule_4.py").write_text("import no_such_module_anywhere\n")
    with (
        pytest.raises(ContentError, match="install it beside local-panther"),
        loaded_content(small),
    ):
        pass


def test_a_newer_log_type_can_be_named(small, monkeypatch):
    edit(small, "own_rule_4", LogTypes=["AWS.CloudTrail", "Nobody.Knows"])
    monkeypatch.setenv("LOCAL_PANTHER_LOG_TYPES", "Other.One, Nobody.Knows")
    with loaded_content(small):
        pass


def test_named_pipes_and_sockets_are_counted_and_not_opened(small, tmp_path):
    os.mkfifo(small / "rules/own_rules/pipe.yml")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(small / "rules/s.yml"))
    (small / "rules/own_rules/own_rule_4.py").unlink()
    os.mkfifo(small / "rules/own_rules/own_rule_4.py")
    outcome = replayed(trail(tmp_path, "Own.Rule.8"), content=small)
    assert outcome.signals["Own.Rule.8"] == 1
    assert len(outcome.content.unreadable) == 3
    (line,) = problem_lines(outcome.content.left_out)
    assert "own_rule_4.py is not a regular file" in line


class TestMacros:
    """Time macros and templates in the forms that occur in Panther's own content."""

    @pytest.mark.parametrize(
        ("written", "parsable"),
        [
            ("p_occurs_since(1h)", "p_occurs_since('1h')"),
            ("p_occurs_since( 1 hour )", "p_occurs_since('1 hour')"),
            ("p_occurs_since('1h')", "p_occurs_since('1h')"),
            ("p_occurs_since(3600)", "p_occurs_since(3600)"),
            ("p_occurs_since(1h, , t)", "p_occurs_since('1h', NULL, t)"),
            ("p_occurs_around(f(a, b), 5m)", "p_occurs_around(f(a, b), '5m')"),
            ("'p_occurs_since(1h)'", "'p_occurs_since(1h)'"),
            ("-- p_occurs_since(1h", "-- p_occurs_since(1h"),
            ("p_occurs_since(')' , 1h)", "p_occurs_since(')', '1h')"),
            ("p_occurs_since(1h", "p_occurs_since('1h'"),
        ],
    )
    def test_macros_get_arguments_that_can_be_parsed(self, written, parsable):
        assert parsable_macros(written) == parsable

    def test_macros_use_their_table_and_column(self):
        query = "SELECT 1 FROM aws_cloudtrail a WHERE p_occurs_since(1h, a, p_parse_time)"
        assert '"a"."p_parse_time" BETWEEN' in transpile_sql(parse_sql(query))

    def test_macros_of_a_template_are_rendered(self):
        written = "-- pragma: template\n{% set t = '1h' %}p_occurs_since({{ t }})"
        assert QueryTexts({"Mine": written})["Mine"] == "p_occurs_since(1h)"

    @pytest.mark.parametrize(
        "template, message",
        [
            ("{{ missing }}", "invalid template: UndefinedError: 'missing' is undefined"),
            ("{% for %}", "invalid template"),
            ("{{ 1 // 0 }}", "invalid template"),
            (
                "{% import 'none' x, y %}",
                "line 2: imports x, y from the query 'none', which is m",
            ),
            (
                "\n{% import 'parts' a, b as c %}",
                "line 3: imports b from the query 'parts', whi",
            ),
        ],
    )
    def test_an_invalid_template_is_an_error_of_the_query(self, template, message):
        parts = "-- pragma: template\n{% macro a() export %}1{% endmacro %}"
        parts += "{% macro b() %}2{% endmacro %}"
        texts = QueryTexts({"parts": parts, "mine": f"-- pragma: template\n{template}"})
        with pytest.raises(FieldError, match=re.escape(message)):
            texts.rendered(f"-- pragma: template\n{template}")
        assert list(texts) == ["parts"] and "mine" not in texts

    def test_macros_imported_under_another_name_are_expanded(self):
        parts = "-- pragma: template\n{% macro a(x, y=2) export %}{{ x }}-{{ y }}{% endmacro %}"
        mine = '-- pragma: template\n{% import "parts" a as b %}{{ b(1) }}'
        assert QueryTexts({"parts": parts}).rendered(mine) == "1-2"

    def test_a_template_cannot_reach_python_objects(self):
        escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
        with pytest.raises(FieldError):
            QueryTexts({}).rendered(f"-- pragma: template\n{escape}")


def test_items_left_out_are_named_if_there_are_few():
    left_out = [LeftOut("Own.Policy", Reason.POLICY), LeftOut("Own.Rule", Reason.DISABLED)]
    assert list(summary_lines(left_out)) == [
        "disabled: Own.Rule (--include-disabled runs them)",
        "not replayed, policies: Own.Policy",
    ]
