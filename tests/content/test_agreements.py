"""Values of YAML and SQL that must agree with a setting in Python."""

import re
import runpy
from pathlib import Path

import pytest

from local_panther.content.agreements import check_agreements
from tests.builders.events import REPO

SETTINGS = '''"""Settings."""
import other_helpers

COUNT = 10
MINUTES: int = 60
FLAG = True
NAMES = "a[.]b.*|c'd"
TOTAL = COUNT + other_helpers.MORE
'''


@pytest.fixture
def repository(tmp_path):
    """Return a function that makes a repository with settings and one query file."""
    helpers = tmp_path / "global_helpers"
    helpers.mkdir()
    (helpers / "my_config.py").write_text(SETTINGS)
    (helpers / "other_helpers.py").write_text("MORE = 5\n")
    (tmp_path / "queries").mkdir()

    def repository(text: str) -> Path:
        (tmp_path / "queries" / "one.yml").write_text(text)
        return tmp_path

    return repository


def messages(folder):
    return [str(problem) for problem in check_agreements(folder)]


@pytest.mark.parametrize(
    "line",
    [
        "Threshold: 10 # must equal my_config.COUNT",
        "  10 AS threshold, -- must equal my_config.COUNT",
        "  x > -5 AND y = 10 -- must equal my_config.COUNT",
        "Lookback: 60 # at least my_config.MINUTES",
        "Lookback: 900 # the run sees this; at least my_config.MINUTES + 840 # x"[:70],
        "Lookback: 105 # at least my_config.MINUTES + 45",
        "p_occurs_since('180 m') -- at least my_config.MINUTES",
        '{{ calls("p_occurs_since(180 m)") }}, -- at least my_config.MINUTES',
        "TRUE AS flag -- must equal my_config.FLAG",
        "Enabled: true # must equal my_config.FLAG",
        "'a[.]b.*|c''d' AS names -- must equal my_config.NAMES",
        "15 -- must equal my_config.TOTAL",
        "10 # must be equal to my_config.COUNT, which is not the syntax of an agreement",
        "10 # must equal the other one",
    ],
)
def test_a_value_that_agrees_is_not_reported(repository, line):
    assert messages(repository(line)) == []


@pytest.mark.parametrize(
    "line, message",
    [
        ("5 AS t -- must equal my_config.COUNT", "5 must equal 10, which is my_config.COUNT"),
        ("11 AS t -- must equal my_config.COUNT", "11 must equal 10, which is my_config.COUNT"),
        ("'' AS n -- must equal my_config.NAMES", "'' must equal \"a[.]b.*|c'd\", which is"),
        ("FALSE -- must equal my_config.FLAG", "False must equal True, which is my_config.FLAG"),
        ("1 -- must equal my_config.FLAG", "1 must equal True, which is my_config.FLAG"),
        ("59 # at least my_config.MINUTES", "59 must be at least 60, which is my_config.MINUTES"),
        ("'59 m' -- at least my_config.MINUTES", "59 must be at least 60"),
        ('"p_occurs_since(59 m)" -- at least my_config.MINUTES', "59 must be at least 60"),
        ("100 # at least my_config.MINUTES + 45", "must be at least 105, which is my_config.MINU"),
        ("14 -- must equal my_config.TOTAL", "14 must equal 15, which is my_config.TOTAL"),
        (
            "x -- must equal my_config.COUNT",
            "no value before the comment: must equal my_config.COUNT",
        ),
        ("1 -- must equal my_config.NONE", "my_config.py has no NONE"),
        ("1 -- must equal no_config.COUNT", "no_config.py is not in this repository"),
    ],
)
def test_a_value_that_disagrees_is_reported_with_file_line_and_both_values(
    repository, line, message
):
    (found,) = messages(repository(f"A: 1\n{line}\n"))
    assert found.startswith("queries/one.yml:2: ") and message in found


def test_the_message_also_names_the_line_of_the_setting(repository):
    (found,) = messages(repository("5 # at least my_config.MINUTES"))
    assert found.endswith("which is my_config.MINUTES in global_helpers/my_config.py:5")


def test_a_setting_without_a_literal_form_is_shown_as_its_repr(repository):
    folder = repository("5 # must equal my_config.COUNT")
    (folder / "global_helpers" / "my_config.py").write_text("COUNT = frozenset([5])\n")
    (found,) = messages(folder)
    assert "'5' must equal 'frozenset({5})', which is my_config.COUNT" in found


def test_a_settings_file_that_does_not_run_is_named(repository):
    folder = repository("5 # must equal my_config.COUNT")
    (folder / "global_helpers" / "my_config.py").write_text("import nothing_of_the_kind\n")
    (found,) = messages(folder)
    assert "my_config.py does not run: No module named 'nothing_of_the_kind'" in found


def test_modules_of_the_same_name_in_this_process_are_neither_used_nor_replaced(
    repository, monkeypatch
):
    import sys
    from types import ModuleType

    ours = ModuleType("other_helpers")
    monkeypatch.setitem(sys.modules, "other_helpers", ours)
    assert messages(repository("15 # must equal my_config.TOTAL")) == []
    assert sys.modules["other_helpers"] is ours and "my_config" not in sys.modules


def test_all_values_of_this_repository_agree():
    assert messages(REPO) == []


@pytest.mark.parametrize(
    "setting, changed, files",
    [
        ("THRESHOLD", lambda value: value + 1, 1),
        ("WINDOW_MINUTES", lambda value: value * 4, 8),
        ("COLLAPSE_SESSIONS", lambda value: not value, 1),
        ("PERSON_ROLE_PREFIXES", lambda value: ["Another-", *value], 1),
    ],
)
def test_a_changed_setting_is_reported_for_every_file_that_must_follow(
    content_copy, setting, changed, files
):
    file = content_copy / "global_helpers" / "aws_role_escalation_config.py"
    value = changed(runpy.run_path(str(file))[setting])
    text = re.sub(rf"(?m)^({setting}\b[^=]*= ).*$", rf"\g<1>{value!r}", file.read_text())
    file.write_text(text)
    named = {problem.where.split(":")[0] for problem in check_agreements(content_copy)}
    assert len(named) == files, named
