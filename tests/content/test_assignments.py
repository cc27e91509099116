"""Tests of finding settings in Python files and changing their values."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.content.assignments import assigned, assignments

SETTINGS = '''"""Settings, with a ü, so that bytes and characters differ in what follows."""
COUNT = 10  # at least three
RATIO: float = 0.5
FLAG = True; OTHER = "ü"; LAST = 7
NAMES: list[str] = []
NUMBERS: list[int] = []
PAIR = ("a", "b")
LONG = [
    # people
    "alice",  # on leave
    "bob",
    # pipelines
    "ci"  # the last has no comma
]
TOTAL = COUNT + 1
AGAIN = 1
AGAIN = 2
MAPPED = {"a": 1}
MIXED = ["a", 1]
lower = 3


def helper():
    return COUNT
'''


def written(name, operator, text, source=SETTINGS):
    setting = assignments(source)[name]
    return assigned(source, setting, setting.parsed(operator, text))


def value_in(text, name):
    for node in ast.parse(text).body:
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def test_settings_are_upper_case_names_that_are_assigned_one_literal():
    found = assignments(SETTINGS)
    names = [name for name, setting in found.items() if setting.value is not None]
    assert names == [
        *("COUNT", "RATIO", "FLAG", "OTHER", "LAST", "NAMES", "NUMBERS", "PAIR", "LONG")
    ]
    assert {"TOTAL", "AGAIN", "MAPPED", "MIXED"} <= set(found) and "lower" not in found


@pytest.mark.parametrize(
    "name, operator, text, line",
    [
        ("COUNT", "=", "5", "COUNT = 5  # at least three"),
        ("COUNT", "=", " -5 ", "COUNT = -5  # at least three"),
        ("RATIO", "=", "2", "RATIO: float = 2.0"),
        ("FLAG", "=", "False", 'FLAG = False; OTHER = "ü"; LAST = 7'),
        ("OTHER", "=", 'a"b\\', 'FLAG = True; OTHER = "a\\"b\\\\"; LAST = 7'),
        ("OTHER", "=", "", 'FLAG = True; OTHER = ""; LAST = 7'),
        ("LAST", "=", "8", 'FLAG = True; OTHER = "ü"; LAST = 8'),
        ("NAMES", "=", "a, b,", 'NAMES: list[str] = ["a", "b"]'),
        ("NAMES", "+=", "a", 'NAMES: list[str] = ["a"]'),
        ("NAMES", "=", '["a,b", " c"]', 'NAMES: list[str] = ["a,b", " c"]'),
        ("NUMBERS", "=", "1,2", "NUMBERS: list[int] = [1, 2]"),
        ("PAIR", "+=", "b,c", 'PAIR = ("a", "b", "c")'),
        ("PAIR", "-=", "a", 'PAIR = ("b",)'),
        ("PAIR", "=", "", "PAIR = ()"),
    ],
)
def test_only_the_value_is_replaced(name, operator, text, line):
    new = written(name, operator, text)
    old = SETTINGS.splitlines()
    changed = [now for now in new.splitlines() if now not in old]
    assert changed == [line] and len(new.splitlines()) == len(old)


def test_comments_in_a_list_stay_with_their_entries():
    new = written("LONG", "+=", "dana")
    assert '    "alice",  # on leave\n    "bob",\n' in new
    assert '    "ci",  # the last has no comma\n    "dana",\n]\n' in new
    fewer = written("LONG", "-=", "bob,ci", new)
    assert value_in(fewer, "LONG") == ["alice", "dana"] and "# people" in fewer
    assert value_in(written("LONG", "=", "ci,alice", new), "LONG") == ["ci", "alice"]
    assert value_in(written("LONG", "=", ""), "LONG") == []


def test_a_long_list_has_a_line_for_each_entry():
    many = ",".join(f"arn:aws:iam::123456789012:role/R{i}" for i in range(4))
    new = written("NAMES", "=", many)
    assert '\nNAMES: list[str] = [\n    "arn:aws:iam::123456789012:role/R0",\n' in new


@pytest.mark.parametrize(
    "name, operator, text, message",
    [
        ("COUNT", "=", "five", "COUNT must be a whole number, not 'five'; it is now 10"),
        ("COUNT", "=", "5.5", "COUNT must be a whole number"),
        ("COUNT", "=", "", "COUNT must be a whole number"),
        ("COUNT", "+=", "5", r"\+= is for lists, but COUNT is a whole number: use ="),
        ("FLAG", "=", "1", "FLAG must be true or false, not '1'; it is now true"),
        ("RATIO", "=", "nan", "RATIO must be a number, not 'nan'; it is now 0.5"),
        ("OTHER", "=", "a\nb", "OTHER must be a string"),
        (
            "NUMBERS",
            "=",
            "1,x",
            "NUMBERS must be a list, each entry a whole number, not 'x'; it is now none",
        ),
        ("NAMES", "-=", "x", "NAMES has no entry 'x'; it has: none"),
        ("LONG", "-=", "x", "LONG has no entry 'x'; it has: alice,bob,ci"),
        ("NAMES", "=", '["a"', "is not a valid JSON array"),
    ],
)
def test_an_invalid_value_is_refused_and_the_message_says_what_is_valid(
    name, operator, text, message
):
    with pytest.raises(ValueError, match=message):
        assignments(SETTINGS)[name].parsed(operator, text)


def test_windows_line_endings_are_kept():
    new = written("COUNT", "=", "5", SETTINGS.replace("\n", "\r\n"))
    assert new.count("\r\n") == SETTINGS.count("\n") and "\r\nCOUNT = 5  # at" in new
    long = written("LONG", "+=", "dana", SETTINGS.replace("\n", "\r\n"))
    assert long.count("\r\n") == long.count("\n") and value_in(long, "LONG")[-1] == "dana"


texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20).map(str.strip)


@given(st.lists(texts.filter(bool), max_size=5), st.lists(texts.filter(bool), max_size=5))
def test_any_list_can_be_set_and_read_back(first, second):
    new = SETTINGS
    for name in ("NAMES", "LONG", "PAIR"):
        for entries in (first, second):
            shown = assignments(written(name, "=", as_json(entries), new))[name].shown()
            new = written(name, "=", shown, new)
            assert list(value_in(new, name)) == entries
    assert [value_in(new, name) for name in ("COUNT", "FLAG", "AGAIN")] == [10, True, 1]


def as_json(entries):
    import json

    return json.dumps(entries)
