"""Tests of finding the code in functions of content that is not pure."""

from textwrap import dedent

import pytest

from local_panther.content.load import loaded_content
from local_panther.content.purity import Purity
from tests.builders.content import write_data_model, write_rules

HEAD = """
import datetime
import json
import operator
import os
import random
import re
import time
from collections import ChainMap, Counter, deque
from fnmatch import fnmatch
from functools import reduce
from ipaddress import ip_address
from unittest.mock import MagicMock
from panther_detection_helpers.caching import get_counter
NAMES = ["a", "b"]
NESTED = {"a": ["b"]}
PATTERN = re.compile("a+")
STATE = {}
CHANGED = ["a"]
COUNT = 0
ALLOWED = ["a"]
MOCKED = MagicMock()
SHOWN = ["a"]
DEEP = [["a"]]
HELD = ["a"]
LAZY = iter([1, 2])
def helper(value, *more): return value and "a" in NAMES
def shows(event): return os.getenv(SHOWN[0]) in SHOWN or [x for x in SHOWN]
def gives(event): return os.getenv("a") or [x for x in DEEP]
def kept(value):
    value.append(1)
    return value
def holds(event): return event.get("a") in kept(HELD)
def counting(value): STATE[value] = 1
class Kept:
    def __init__(self): CHANGED.append(1)
def title(event):
    CHANGED.append(event.get("eventName"))
    return "title"
"""

PURE = [
    'return event.get("eventName") in NAMES',
    'return event.deep_get("a", "b", default={}) == "a" and event["x"] != event.udm("actor_user")',
    'return helper(event.get("a"), *event.get("b"))',
    'return any(fnmatch(event.get("a", ""), name) for name in NAMES)',
    'return reduce(lambda a, b: a + b, [len(x) for x in NESTED["a"]], 0) > 1',
    "found = []\nfor x in NAMES:\n    found.append(x)\n    found[0] = x\nreturn bool(found)",
    'found = Counter()\nfound["a"] += 1\nfound.update(event.get("a"))\nreturn found["a"] > 1',
    "found = deque()\nfound.append(1)\nreturn bool(found)",
    'text = "a"\ntext += event.get("a")\nreturn PATTERN.search(text) is not None',
    "try:\n    ip_address(event.get('a'))\nexcept ValueError:\n    return False\nreturn True",
    'return json.loads(event.get("a"))["b"] if event.get("a") else False',
    'def inner(x):\n    return x in NAMES\nreturn inner(event.get("a"))',
    'return (lambda x: x)(event.get("a")) == "a"',
    'global COUNT\nCOUNT = 0\nif event.get("a"):\n    COUNT = 1\nreturn COUNT > 0',
    'return helper(helper(event)) and isinstance(event.get("a"), (str, list))',
    "global ALLOWED\nif isinstance(ALLOWED, MagicMock):\n    ALLOWED = ALLOWED()\n"
    'return event.get("a") in ALLOWED',
    'return event.get("a") in SHOWN',
    'return next((x for x in NAMES if x == event.get("a")), None) is None',
]

# Bodies with the lines, from 1, that are not pure; None if nothing is known of the body.
IMPURE = [
    ("return time.time() > 0", {1}),
    ("return datetime.datetime.now().year > 0", {1}),
    ("return datetime.date.today().year > 0", {1}),
    ("return random.random() > 0.5", {1}),
    ('return os.environ.get("A") == "a"', {1}),
    ('return open("/etc/hostname").read() == "a"', {1}),
    ('return get_counter("a") > 1', {1}),
    ('if not event.get("a"):\n    return False\nreturn get_counter("a") > 1', {3}),
    ('if event.get("a") and get_counter("a"):\n    return False\nreturn True', {1}),
    ('STATE["a"] = 1\nreturn True', {1}),
    ('counting("a")\nreturn True', {"counting"}),
    ('return "a" in STATE', {1}),
    ('return "a" in CHANGED', {1}),
    ("NAMES.append(1)\nreturn True", {1}),
    ("names = NAMES\nnames.append(1)\nreturn True", {2}),
    ('for names in NESTED.values():\n    names.append("a")\nreturn True', {2}),
    ('names = NESTED["a"]\nnames += ["c"]\nreturn True', {2}),
    ("names = [NAMES]\nnames[0][0] = 1\nreturn True", {2}),
    ("add = NAMES.append\nadd(1)\nreturn True", {1}),
    ("del NAMES[0]\nreturn True", {1}),
    ("def inner(x):\n    x.append(1)\ninner(NAMES)\nreturn True", {2}),
    ("def inner(x=NAMES):\n    x.append(1)\ninner()\nreturn True", {2}),
    ("global COUNT\nCOUNT += 1\nreturn COUNT > 1", {2, 3}),
    ("global COUNT\nif COUNT:\n    return True\nCOUNT = 1\nreturn False", {2, 4}),
    ("return next(LAZY) > 1", {1}),
    ("return event.get('a') in DEEP", {1}),
    ("return event.get('a') in HELD", {1}),
    (
        "global MOCKED\nif isinstance(MOCKED, MagicMock):\n    MOCKED = MOCKED()\nreturn MOCKED",
        {2, 3},
    ),
    (
        "global ALLOWED\nif isinstance(ALLOWED, MagicMock):\n    ALLOWED = ALLOWED()\n"
        "ALLOWED = [*ALLOWED, 'b']\nreturn ALLOWED",
        {2, 3, 4},
    ),
    (
        "global ALLOWED\nif isinstance(ALLOWED, MagicMock):\n    ALLOWED = ALLOWED()\n"
        "    import ALLOWED\nreturn ALLOWED",
        {2, 3, 4},
    ),
    ("global ALLOWED\nif isinstance(ALLOWED, list):\n    ALLOWED = []\nreturn ALLOWED", {2, 3}),
    ("Kept()\nreturn True", {1}),
    ("import socket\nreturn True", {1}),
    ("return eval('1')", None),
    ("setattr(helper, 'a', 1)\nreturn True", None),
    ("helper.calls = 1\nreturn True", {1}),
    ("print(event.get('a'))\nreturn False", {1}),
    ("return event.get('a') is event.get('b')", {1}),
    ("return id(event) > 0", {1}),
    ("return event.__class__ is None", {1}),
    ("with open('a') as file:\n    return True", {1}),
    ("while (x := helper(event)):\n    yield x", {2}),
    ("try:\n    return event['a']\nexcept:\n    return False", {1}),
    ("try:\n    return event['a']\nfinally:\n    print(1)", {1, 4}),
    ("return unknown_name", {1}),
    ("found = ChainMap(NESTED)\nfound['a'] = 1\nreturn True", {2}),
    ("operator.setitem(NESTED, 'a', 1)\nreturn True", {1}),
    ("operator.methodcaller('append', 1)(NAMES)\nreturn True", {1}),
    ("return os.path.exists(event.get('a'))", {1}),
    ("return os.path.join('/', event.get('a')) == os.path.abspath('a')", {1}),
]


def line_of(spot):
    """Return the line of a spot: where an expression ends, as an attribute ends with its name."""
    return (spot.end or spot.start)[0]


def impure_lines(folder, body):
    """Return the impure lines of a rule's body, from 1, and the names of impure helpers."""
    text = "\n".join(f"    {line}" for line in body.splitlines())
    write_rules(folder, a=f"{HEAD}def rule(event):\n{text}\n")
    with loaded_content(folder) as content:
        (rule,) = content.rules
        found = Purity(content.modules).impure_spots(rule.detection.module.rule)
    if found is None:
        return None
    lines = f"{HEAD}def rule(event):".splitlines()
    return {
        line - len(lines) if line > len(lines) else lines[line - 1].split("(")[0].split()[-1]
        for line in map(line_of, found)
    }


@pytest.mark.parametrize("body", PURE)
def test_code_that_depends_on_the_event_alone_is_pure(tmp_path, body):
    assert impure_lines(tmp_path, body) == set()


@pytest.mark.parametrize(("body", "lines"), IMPURE)
def test_lines_that_keep_or_read_other_state_are_not_pure(tmp_path, body, lines):
    found = impure_lines(tmp_path, body)
    assert found is None if lines is None else found is not None and lines <= found


def write_helper(folder, name, body):
    """Write a helper that rules import by its name."""
    helpers = folder / "global_helpers"
    helpers.mkdir()
    (helpers / f"{name}.py").write_text(body)
    (helpers / f"{name}.yml").write_text(
        f"AnalysisType: global\nGlobalID: {name}\nFilename: {name}.py\n"
    )


def test_a_helper_with_the_name_of_a_pure_module_is_analysed_like_any_other(tmp_path):
    body = "SEEN = []\nclass Kept:\n    def __init__(self):\n        SEEN.append(1)\n"
    write_helper(tmp_path, "html", body)
    write_rules(tmp_path, a="import html\ndef rule(event):\n    html.Kept()\n    return False\n")
    with loaded_content(tmp_path) as content:
        found = Purity(content.modules).impure_spots(content.rules[0].detection.module.rule)
    assert found is not None and set(map(line_of, found)) == {3}


def test_a_name_that_its_own_module_rebinds_is_not_pure_in_another(tmp_path):
    body = "COUNT = 0\ndef more():\n    global COUNT\n    COUNT += 1\n"
    write_helper(tmp_path, "shared", body)
    write_rules(tmp_path, a="import shared\ndef rule(event):\n    return shared.COUNT > 1\n")
    with loaded_content(tmp_path) as content:
        found = Purity(content.modules).impure_spots(content.rules[0].detection.module.rule)
    assert found is not None and set(map(line_of, found)) == {3}


def test_a_container_that_another_rule_can_change_is_not_pure(tmp_path):
    write_helper(tmp_path, "shared", "SEEN = []\nKNOWN = ['a']\n")
    write_rules(
        tmp_path,
        reads="import shared\ndef rule(event):\n    return event.get('a') in shared.SEEN\n",
        knows="import shared\ndef rule(event):\n    return event.get('a') in shared.KNOWN\n",
        writes=dedent(
            """
            from shared import SEEN
            def rule(event):
                return True
            def title(event):
                keep(SEEN, event.get("a"))
                return "title"
            def keep(where, what):
                where.append(what)
            """
        ),
    )
    with loaded_content(tmp_path) as content:
        purity = Purity(content.modules)
        found = {
            rule.metadata.rule_id: purity.impure_spots(rule.detection.module.rule)
            for rule in content.rules
        }
    assert [bool(found[f"Test.{name}"]) for name in ("reads", "knows", "writes")] == [
        True,
        False,
        False,
    ]


def test_a_rule_that_uses_an_impure_data_model_is_not_pure(tmp_path):
    write_rules(tmp_path, a="def rule(event):\n    return event.udm('actor_user') == 'a'\n")
    for text, is_pure in (("event.get('a')", True), ("str(time.time())", False)):
        code = f"import time\ndef user(event):\n    return {text}\n"
        write_data_model(tmp_path, code, "actor_user", "user")
        with loaded_content(tmp_path) as content:
            methods = content.data_models["AWS.CloudTrail"].methods.values()
            lines = Purity(content.modules, methods).impure_spots(
                content.rules[0].detection.module.rule
            )
        assert lines is not None and (not lines) == is_pure
