"""Results reused from earlier events equal those of evaluating each rule."""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.load import loaded_content
from local_panther.detection import decisions
from local_panther.detection import rule_engine as engine_module
from local_panther.detection.clock import EventClock
from local_panther.detection.decisions import MAX_LEAVES
from local_panther.detection.rule_engine import Engine
from local_panther.detection.running import run_rule
from local_panther.detection.store import key_value_store
from local_panther.errors import RunErrors
from tests.builders.content import write_data_model, write_rules
from tests.builders.events import REPO, call, read_record
from tests.scale import examples

ALWAYS_WATCHED = 0
NEVER_WATCHED = 10**9


@contextmanager
def running(folder, monkeypatch, few=ALWAYS_WATCHED, **options):
    """Yield an engine that learns from the first event on, its errors and its clock."""
    monkeypatch.setattr(engine_module, "FEW", few)
    monkeypatch.setattr(engine_module, "FEW_OF_A_RULE", 0)
    errors, clock = RunErrors(), EventClock()
    with (
        loaded_content(folder, **options) as content,
        key_value_store(clock),
        clock.seen_by(content.modules),
    ):
        yield Engine(content, errors), errors, clock


def signals(folder, monkeypatch, records, few=ALWAYS_WATCHED, **options):
    """Return the signals and errors of rules, and the number of evaluations of each."""
    evaluated = Counter()

    def counted(rule, *args):
        evaluated[rule.metadata.rule_id.removeprefix("Test.")] += 1
        return run_rule(rule, *args)

    monkeypatch.setattr(engine_module, "run_rule", counted)
    with running(folder, monkeypatch, few, **options) as (engine, errors, clock):
        found = []
        for record in records:
            clock.reach(record.time)
            found += [
                (s.metadata.rule_id, s.event_id, s.title, s.dedup, s.context, s.event)
                for s in engine.run(record)
            ]
        raised = {rule: (kind, error.count) for (rule, kind), error in errors.raised.items()}
        return found, (errors.counts, raised, errors.swallowed), evaluated


def watched(folder, monkeypatch, records):
    """Return the number of evaluations of each rule that were watched."""
    learned = Counter()
    learn = decisions.Decisions.learn

    def counted(self, rule, *args):
        learned[rule.detection_id.removeprefix("Test.")] += 1
        return learn(self, rule, *args)

    monkeypatch.setattr(decisions.Decisions, "learn", counted)
    signals(folder, monkeypatch, records)
    return learned


NAMES = st.sampled_from(["eventName", "eventSource", "errorCode", "errorMessage", "EVENTNAME", "a"])
TEXTS = st.sampled_from(["", "a", "b", "ab"])
VALUES = TEXTS | st.sampled_from([0, 1, True, False, 1.0, -0.0, 0.0, []])
INNER = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=1), max_size=2)
FIELDS = st.dictionaries(NAMES, VALUES | INNER, max_size=5)
ASKED = st.one_of(
    st.builds("event.get({!r})".format, NAMES),
    st.builds("event.get({!r}, {!r})".format, NAMES, VALUES),
    st.builds("event.deep_get({!r}, {!r}, default={!r})".format, NAMES, NAMES, VALUES | FIELDS),
    st.builds("event.udm({!r})".format, NAMES),
    st.builds("event.deep_walk({!r})".format, NAMES),
    st.builds("({!r} in event)".format, NAMES),
    st.builds("event.get({!r}, {{}}).get({!r})".format, NAMES, NAMES),
    st.builds("event.get({!r}, {{}}).get({!r}, {{}}).get({!r})".format, NAMES, NAMES, NAMES),
    st.builds("event.get({!r}, {{}}).deep_get({!r}, {!r})".format, NAMES, NAMES, NAMES),
    st.builds("({!r} in event.get({!r}, {{}}))".format, NAMES, NAMES),
    st.builds("sorted(event.get({!r}, {{}}))".format, NAMES),
    st.builds("len(event.get({!r}, ''))".format, NAMES),
    st.builds("copy.deepcopy(event).get({!r})".format, NAMES),
    st.builds("copy.copy(event).get({!r})".format, NAMES),
    st.builds("copy.deepcopy(event.get({!r}, {{}})).get({!r})".format, NAMES, NAMES),
    st.builds("('Dict' in str(event.get({!r})))".format, NAMES),
    st.builds("('Panther' in str(event) and event.get({!r}))".format, NAMES),
    st.builds("event.udm('parts')[0].get({!r})".format, NAMES),
    st.builds("event[{!r}]".format, NAMES),
    st.builds("event[{!r}][{!r}]".format, NAMES, NAMES),
    st.sampled_from(["event.get('p_event_time')[-1:]", "len(event)", "str(event.to_dict())[:9]"]),
)
TESTS = st.one_of(
    st.builds("{} == {!r}".format, ASKED, VALUES),
    st.builds("not {}".format, ASKED),
    st.builds("{} in (1, True, 'a')".format, ASKED),
    st.builds("{} == {}".format, ASKED, ASKED),
    st.builds("str({}) == '1.0'".format, ASKED),
)
RULES = st.lists(st.tuples(TESTS, st.booleans() | st.none()), min_size=1, max_size=4)


@settings(
    max_examples=examples(60, 1500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(RULES, min_size=1, max_size=4), st.lists(FIELDS, min_size=2, max_size=12))
def test_reuse_changes_no_signal_of_any_rules_over_any_events(
    tmp_path_factory, monkeypatch, rules, events
):
    folder = tmp_path_factory.mktemp("content")
    bodies = {}
    for number, tests in enumerate(rules):
        steps = "".join(f"    if {test}:\n        return {said}\n" for test, said in tests)
        bodies[f"r{number}"] = f"import copy\ndef rule(event):\n{steps}    return False\n"
    write_rules(folder, **bodies)
    parts = "def parts(event):\n    return [event.get('a') or {}]\n"
    write_data_model(folder, parts, "parts", "parts")
    records = [
        read_record(call("AssumeRole") | fields | {"eventID": str(number)})
        for number, fields in enumerate(events * 2)
    ]
    plain = signals(folder, monkeypatch, records, few=NEVER_WATCHED)
    reused = signals(folder, monkeypatch, records)
    assert reused[:2] == plain[:2]
    assert sum(reused[2].values()) <= sum(plain[2].values())


def test_a_rule_without_matches_for_a_few_values_is_not_evaluated_again(tmp_path, monkeypatch):
    write_rules(
        tmp_path,
        pure="def rule(event):\n    return event.get('eventName') == 'DeleteTrail'\n",
        match="def rule(event):\n    return event.get('eventName') == 'AssumeRole'\n",
        nested="def rule(event):\n    return event.deep_get('userIdentity', 'type') == 'Root'\n",
        error="def rule(event):\n    return event['missing']\n",
    )
    records = [read_record(call("AssumeRole") | {"eventID": str(n)}) for n in range(50)]
    found, errors, evaluated = signals(tmp_path, monkeypatch, records)
    assert evaluated == {"match": 50, "error": 50} and len(found) == 50
    assert errors[0] == {"Test.error": 50} and errors[1] == {"Test.error": ("KeyError", 50)}


def test_a_rule_is_not_evaluated_again_for_fields_that_it_does_not_read(tmp_path, monkeypatch):
    write_rules(
        tmp_path,
        method="def rule(event):\n    return event.get('userIdentity', {}).get('type') == 'Root'\n",
        index="def rule(event):\n    return event['userIdentity']['type'] == 'Root'\n",
        truth="def rule(event):\n    return not event.get('userIdentity')\n",
        whole="def rule(event):\n    return 'Root' in str(event.get('userIdentity'))\n",
    )
    records = [
        read_record(call("AssumeRole") | {"userIdentity": {"type": "IAMUser", "userName": str(n)}})
        for n in range(50)
    ]
    evaluated = watched(tmp_path, monkeypatch, records)
    assert evaluated == {"method": 1, "index": 1, "truth": 1, "whole": 50}


@pytest.mark.parametrize("field", ["eventName", "eventSource"])
def test_a_missing_field_differs_from_an_empty_one(tmp_path, monkeypatch, field):
    write_rules(tmp_path, a=f"def rule(event):\n    return event.get('{field}') is None\n")
    empty = call("AssumeRole") | {field: ""}
    missing = {name: value for name, value in empty.items() if name != field}
    records = [
        read_record(record | {"eventID": str(n)})
        for n, record in enumerate([empty, empty, missing])
    ]
    found, _, _ = signals(tmp_path, monkeypatch, records)
    assert [event_id for _, event_id, *_ in found] == ["2"]


@pytest.mark.parametrize(
    "asked",
    [
        "copy.deepcopy(event.get('userIdentity'))['userName']",
        "copy.copy(event.get('userIdentity'))['userName']",
        "str(event.get('userIdentity')).removeprefix('ImmutableCaseInsensitiveDict')[-4]",
        "event.udm('parts')[0]['userName']",
    ],
)
def test_reading_a_copy_or_a_part_counts_as_reading_the_event(tmp_path, monkeypatch, asked):
    write_rules(tmp_path, a=f"import copy\ndef rule(event):\n    return {asked} == '7'\n")
    parts = "def parts(event):\n    return [event.get('userIdentity')]\n"
    write_data_model(tmp_path, parts, "parts", "parts")
    records = [
        read_record(call("AssumeRole") | {"eventID": str(n), "userIdentity": {"userName": str(n)}})
        for n in range(9)
    ]
    found, _, _ = signals(tmp_path, monkeypatch, records)
    assert [event_id for _, event_id, *_ in found] == ["7"]


@pytest.mark.parametrize(
    ("filters", "rule", "evaluated"),
    [
        ([{"KeyPath": "eventName", "Condition": "IsIn", "Values": ["AssumeRole"]}], "False", 0),
        ([{"KeyPath": "userIdentity.type", "Condition": "Equals", "Value": "Root"}], "True", 0),
        ([{"KeyPath": "userIdentity.type", "Condition": "Equals", "Value": "IAMUser"}], "True", 50),
        ([{"KeyPath": "keys(userIdentity)", "Condition": "Contains", "Value": "x"}], "True", 49),
        ([{"KeyPath": "eventName", "Condition": "IsGreaterThan", "Value": 1}], "True", 50),
        (
            [
                {"KeyPath": "errorCode", "Condition": "IsNotNullOrEmpty"},
                {"KeyPath": "requestID", "Condition": "Equals", "Value": "never"},
            ],
            "True",
            0,
        ),
    ],
)
def test_a_filter_reads_only_its_own_fields(tmp_path, monkeypatch, filters, rule, evaluated):
    write_rules(tmp_path, own=f"def rule(event):\n    return {rule}\n")
    path = tmp_path / "rules" / "own.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"InlineFilters": filters}))
    records = [read_record(call("AssumeRole") | {"eventID": str(n)}) for n in range(50)]
    found, errors, counted = signals(tmp_path, monkeypatch, records)
    assert counted["own"] == evaluated
    assert (found, errors) == signals(tmp_path, monkeypatch, records, few=NEVER_WATCHED)[:2]


STATEFUL = {
    "counts": """
        COUNT = {"n": 0}
        def rule(event):
            COUNT["n"] += 1
            return COUNT["n"] % 3 == 0
    """,
    "counts_by_name": """
        COUNT = 0
        def rule(event):
            global COUNT
            if event.get("eventName") != "AssumeRole":
                return False
            COUNT += 1
            return COUNT % 3 == 0
    """,
    "title_keeps": """
        SEEN = set()
        def rule(event):
            return event.get("userAgent") not in SEEN
        def title(event):
            SEEN.add(event.get("userAgent"))
            return "title"
    """,
    "stores": """
        from panther_detection_helpers.caching import increment_counter
        def rule(event):
            if event.get("eventName") != "AssumeRole":
                return False
            return increment_counter("a") % 3 == 0
    """,
    "stores_on_one_line": """
        from panther_detection_helpers.caching import increment_counter
        def rule(event):
            return event.get("eventName") == "AssumeRole" and increment_counter("b") % 3 == 0
    """,
    "clock": """
        import datetime
        def rule(event):
            return datetime.datetime.utcnow().minute % 2 == 0
    """,
    "hands_on": """
        FOUND = []
        def rule(event):
            global FOUND
            FOUND = []
            if event.get("eventName") != "AssumeRole":
                return False
            FOUND.append(event.get("eventID"))
            return True
        def title(event):
            return str(FOUND)
    """,
    "catches": """
        CALLS = []
        def rule(event):
            try:
                CALLS.append(1)
            except BaseException:
                pass
            return len(CALLS) % 3 == 0
    """,
}


def test_rules_with_state_or_a_clock_give_the_same_signals(tmp_path, monkeypatch):
    write_rules(tmp_path, **STATEFUL)
    names = ["AssumeRole", "ListRoles", "AssumeRole", "DeleteTrail"]
    records = [
        read_record(call(names[n % 4], time=1_767_600_000 + 37 * n) | {"eventID": str(n)})
        for n in range(40)
    ]
    plain = signals(tmp_path, monkeypatch, records, few=NEVER_WATCHED)
    reused = signals(tmp_path, monkeypatch, records)
    assert reused[:2] == plain[:2] and plain[0]
    assert {rule for rule, *_ in plain[0]} == {f"Test.{name}" for name in STATEFUL}
    # Decisions before the first impure code are reused.
    for name in ("stores", "stores_on_one_line", "counts_by_name"):
        assert reused[2][name] == 20


def test_this_python_can_trace_each_instruction_before_running_it():
    assert decisions.can_stop()


@pytest.mark.process
def test_without_columns_of_instructions_a_rule_is_stopped_by_line(tmp_path):
    write_rules(tmp_path, one=STATEFUL["stores_on_one_line"])
    code = (
        "import sys, pathlib; from tests.detection.test_decisions import *; "
        "folder = pathlib.Path(sys.argv[1]); patch = pytest.MonkeyPatch(); "
        "records = [read_record(call('AssumeRole') | {'eventID': str(n)}) for n in range(9)]; "
        "print(signals(folder, patch, records)[0] == "
        "signals(folder, patch, records, few=NEVER_WATCHED)[0])"
    )
    command = [sys.executable, "-X", "no_debug_ranges", "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=True)
    assert result.stdout == "True\n"


def test_a_rule_whose_matches_all_differ_is_watched_less_and_less(tmp_path, monkeypatch):
    write_rules(
        tmp_path,
        a="def rule(event):\n    return event.get('eventName') == 'AssumeRole'"
        " and event.get('eventID') != 'x'\n",
    )
    attempts = [read_record(call("AssumeRole") | {"eventID": str(n)}) for n in range(400)]
    others = [read_record(call("GetUser") | {"eventID": str(n)}) for n in range(400)]
    assert watched(tmp_path, monkeypatch, attempts)["a"] < 80
    found, _, evaluated = signals(tmp_path, monkeypatch, attempts + others)
    assert len(found) == 400 and evaluated["a"] < 600  # the others are learned after a while


def test_the_memory_for_a_rule_that_never_repeats_a_path_is_limited(tmp_path, monkeypatch):
    write_rules(tmp_path, a="def rule(event):\n    return event.get('eventID') == 'x'\n")
    with running(tmp_path, monkeypatch) as (engine, _, _):
        for number in range(MAX_LEAVES + 500):
            record = read_record(call("AssumeRole") | {"eventID": str(number)})
            assert not list(engine.run(record))
        (decisions,) = engine._known._decisions.values()
        assert not decisions.is_useful and decisions._leaves < MAX_LEAVES


def test_reuse_changes_no_signal_of_panther_analysis(monkeypatch):
    folder = Path(os.environ.get("PANTHER_ANALYSIS", ""))
    if not (folder / "queries" / "aws_queries").is_dir():
        pytest.skip("PANTHER_ANALYSIS does not name a checkout of panther-analysis")
    files = sorted((REPO.parent / "shared/data").glob("cloudtrail*.jsonl"))
    if not files:
        pytest.skip("no recorded CloudTrail beside the repository")
    lines = [line for file in files for line in file.open()] * 3
    records = [read_record(json.loads(line)) for number, line in enumerate(lines)]
    plain = signals(folder, monkeypatch, records, few=NEVER_WATCHED, strict=False)
    reused = signals(folder, monkeypatch, records, strict=False)
    assert reused[:2] == plain[:2] and len(plain[0]) > 100
    assert sum(reused[2].values()) < sum(plain[2].values()) / 4
