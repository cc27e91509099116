"""Settings in Python, and giving them other values."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.content.assignments import assigned, assignments

SETTINGS = '''"""Settings, with a ü in front of what follows."""
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


def test_settings_are_upper_case_literals_that_are_assigned_once():
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
def test_a_value_takes_the_place_of_the_other_and_the_rest_stays(name, operator, text, line):
    new = written(name, operator, text)
    old = SETTINGS.splitlines()
    changed = [now for now in new.splitlines() if now not in old]
    assert changed == [line] and len(new.splitlines()) == len(old)


def test_the_comments_within_a_list_stay_with_its_entries():
    new = written("LONG", "+=", "dana")
    assert '    "alice",  # on leave\n    "bob",\n' in new
    assert '    "ci",  # the last has no comma\n    "dana",\n]\n' in new
    fewer = written("LONG", "-=", "bob,ci", new)
    assert value_in(fewer, "LONG") == ["alice", "dana"] and "# people" in fewer
    assert value_in(written("LONG", "=", "ci,alice", new), "LONG") == ["ci", "alice"]
    assert value_in(written("LONG", "=", ""), "LONG") == []


def test_a_list_that_becomes_long_has_a_line_for_each_entry():
    many = ",".join(f"arn:aws:iam::123456789012:role/R{i}" for i in range(4))
    new = written("NAMES", "=", many)
    assert '\nNAMES: list[str] = [\n    "arn:aws:iam::123456789012:role/R0",\n' in new


@pytest.mark.parametrize(
    "name, operator, text, message",
    [
        ("COUNT", "=", "five", "COUNT takes a whole number, now 10; 'five' is not that"),
        ("COUNT", "=", "5.5", "COUNT takes a whole number"),
        ("COUNT", "=", "", "COUNT takes a whole number"),
        ("COUNT", "+=", "5", r"\+= is for lists, and COUNT takes a whole number"),
        ("FLAG", "=", "1", "FLAG takes true or false, now true; '1' is not that"),
        ("RATIO", "=", "nan", "RATIO takes a number, now 0.5"),
        ("OTHER", "=", "a\nb", "OTHER takes a text"),
        ("NUMBERS", "=", "1,x", "NUMBERS takes a list, each entry a whole number, now none; 'x'"),
        ("NAMES", "-=", "x", "NAMES has no entry 'x'; it has: none"),
        ("LONG", "-=", "x", "LONG has no entry 'x'; it has: alice,bob,ci"),
        ("NAMES", "=", '["a"', "begins like a JSON array and is none"),
    ],
)
def test_what_is_no_value_of_a_setting_is_refused_with_what_is(name, operator, text, message):
    with pytest.raises(ValueError, match=message):
        assignments(SETTINGS)[name].parsed(operator, text)


def test_line_ends_of_windows_stay():
    new = written("COUNT", "=", "5", SETTINGS.replace("\n", "\r\n"))
    assert new.count("\r\n") == SETTINGS.count("\n") and "\r\nCOUNT = 5  # at" in new
    long = written("LONG", "+=", "dana", SETTINGS.replace("\n", "\r\n"))
    assert long.count("\r\n") == long.count("\n") and value_in(long, "LONG")[-1] == "dana"


texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20).map(str.strip)


@given(st.lists(texts.filter(bool), max_size=5), st.lists(texts.filter(bool), max_size=5))
def test_any_list_is_read_back_as_it_was_set(first, second):
    new = SETTINGS
    for name in ("NAMES", "LONG", "PAIR"):
        for entries in (first, second):
            shown = assignments(written(name, "=", as_asked(entries), new))[name].shown()
            new = written(name, "=", shown, new)
            assert list(value_in(new, name)) == entries
    assert [value_in(new, name) for name in ("COUNT", "FLAG", "AGAIN")] == [10, True, 1]


def as_asked(entries):
    import json

    return json.dumps(entries)
