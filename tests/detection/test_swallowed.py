"""A replay reports errors of functions other than rule(), which an instance hides."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panther_core.rule import Rule

from local_panther.content.importing import BodyRule
from local_panther.output.facts import INSTEAD, notes
from tests.builders.content import write_lines, write_rules
from tests.builders.events import START, call
from tests.builders.replays import replayed

RULE = """
def rule(event):
    return True

def {name}(event):
    {code}
"""
NUMBERS = itertools.count()
FIELDS = [f"{name}_{part}" for name in (*INSTEAD, "detection") for part in ("output", "exception")]


def outcome_of(tmp_path, name, code, records=3):
    content = write_rules(tmp_path / "content", a=RULE.format(name=name, code=code))
    events = [call("x", time=START + i, eventID=str(i)) for i in range(records)]
    return replayed(write_lines(tmp_path / "t.jsonl", events), content=content)


@pytest.mark.parametrize("name", INSTEAD)
def test_an_error_of_a_function_is_a_note_with_its_count_and_line(tmp_path, name):
    outcome = outcome_of(tmp_path, name, "return event['nope']")
    assert outcome.complete and outcome.signals["Test.a"] == 3
    (line,) = [text for _, text in notes(outcome) if f"{name}()" in text]
    raised = f"Test.a: {name}() raised KeyError: 'nope' (rules/a.py, line 6) on 3 of 3 matches; "
    assert line == f"{raised}an instance {INSTEAD[name]}, and does not say so"


def test_an_invalid_severity_is_a_note(tmp_path):
    outcome = outcome_of(tmp_path, "severity", "return 'DREADFUL'", records=1)
    (line,) = [text for _, text in notes(outcome) if "severity()" in text]
    assert "AssertionError: Expected severity" in line and "on 1 of 1 match;" in line


def test_repeated_destinations_are_a_note(tmp_path):
    outcome = outcome_of(tmp_path, "destinations", "return ['x', 'y', 'x']")
    (line,) = [text for _, text in notes(outcome) if "destinations()" in text]
    assert "raised x is named twice on 3 of 3 matches" in line


def test_an_error_of_rule_is_reported_with_its_file_and_line(tmp_path):
    content = write_rules(tmp_path / "content", a="def rule(event):\n    return event['nope']\n")
    path = write_lines(tmp_path / "t.jsonl", [call("x", time=START)])
    (problem,) = replayed(path, content=content).errors.examples
    assert problem.message == "Test.a: KeyError: 'nope' (rules/a.py, line 2)"


bodies = st.sampled_from(
    [
        "return 'text'",
        "return None",
        "return 1 / 0",
        "return ''",
        "return {'a': {1, 2}}",
        "return []",
        "return ['a', 'a']",
        "return event['nope']",
        "return 'x' * 3000",
    ]
)


@given(st.dictionaries(st.sampled_from(sorted(INSTEAD)), bodies))
def test_results_equal_those_of_panther_core_whatever_functions_do(tmp_path_factory, functions):
    body = "def rule(event):\n    return True\n"
    body += "".join(f"def {name}(event):\n    {code}\n" for name, code in functions.items())
    # panther_core stores the body by its ID, where Python may still find an earlier one compiled.
    config = {"id": f"A{next(NUMBERS)}", "versionId": "v", "severity": "LOW", "body": body}
    folder = str(tmp_path_factory.mktemp("bodies"))
    own = BodyRule(config | {"folder": folder}).run({"a": 1}, {}, {}, batch_mode=True)
    plain = Rule(config).run({"a": 1}, {}, {}, batch_mode=True)
    assert [getattr(own, f) for f in FIELDS] == [getattr(plain, f) for f in FIELDS]
