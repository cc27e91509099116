"""Files of expected alerts: reading, errors and the comparison of alerts."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.alerts.expected import (
    Difference,
    ExpectedAlert,
    differences,
    found_alerts,
    read_expected,
    write_expected,
)
from local_panther.alerts.incidents import SEVERITIES, incidents_of
from local_panther.alerts.model import RULE_ERROR
from local_panther.errors import FieldError
from tests.builders.alerts import alert, log_of
from tests.builders.events import ALICE, START, user

ANY_ALERT = st.builds(
    ExpectedAlert,
    rule=st.text(min_size=1),
    principal=st.text() | st.just("123456789012") | st.just("2026-01-05"),
    severity=st.sampled_from(SEVERITIES),
)
COUNTS = st.dictionaries(ANY_ALERT, st.integers(1, 3), max_size=5)
ENTRY = "{rule: A, principal: alice, severity: HIGH}"


def read(text, folder):
    path = folder / "expected.yml"
    path.write_text(text)
    return read_expected(path)


@given(COUNTS)
def test_a_written_file_is_read_without_a_difference(tmp_path_factory, counts):
    path = tmp_path_factory.mktemp("expected") / "expected.yml"
    write_expected(counts, path)
    assert read_expected(path) == counts
    assert differences(read_expected(path), counts) == []


@given(st.lists(ANY_ALERT, max_size=5), st.lists(ANY_ALERT, max_size=5), st.randoms())
def test_the_order_of_alerts_does_not_matter(expected, found, random):
    before = differences(Counter(expected), Counter(found))
    random.shuffle(expected)
    random.shuffle(found)
    assert differences(Counter(expected), Counter(found)) == before


@given(COUNTS, COUNTS)
def test_no_difference_means_that_both_are_the_same(expected, found):
    assert (differences(expected, found) == []) == (expected == found)


def test_alerts_are_compared_by_rule_principal_and_severity_whatever_their_order():
    bob = user("bob")
    alerts = [
        alert(rule_id="A", who=ALICE),
        alert(rule_id="A", who=ALICE, first=START + 90_000),
        alert(rule_id="A", who=bob, severity="LOW"),
    ]
    for given_alerts in (alerts, alerts[::-1]):
        found = found_alerts(incidents_of(given_alerts, log_of()))
        assert found == {
            ExpectedAlert("A", ALICE["arn"], "HIGH"): 2,
            ExpectedAlert("A", bob["arn"], "LOW"): 1,
        }


def test_the_alert_of_a_failing_rule_is_never_expected():
    assert found_alerts(incidents_of([alert(kind=RULE_ERROR)], log_of())) == {}


def test_every_difference_has_both_counts():
    here, there = ExpectedAlert("A", "alice", "HIGH"), ExpectedAlert("B", "bob", "LOW")
    assert differences({here: 2}, {here: 1, there: 1}) == [
        Difference(here, 2, 1),
        Difference(there, 0, 1),
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"alerts: [{ENTRY}, {ENTRY}]",
        "alerts: [{rule: A, principal: alice, severity: high, count: 2}]",
        '{"alerts": [{"rule": "A", "principal": "alice", "severity": "HIGH", "count": 2}]}',
    ],
)
def test_json_repeated_entries_and_counts_are_equivalent(text, tmp_path):
    assert read(text, tmp_path) == {ExpectedAlert("A", "alice", "HIGH"): 2}


def test_an_empty_list_expects_no_alert(tmp_path):
    assert read("alerts: []", tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "alerts: must be a list"),
        ("[]", "alerts: must be a list"),
        ("alerts:", "alerts: must be a list"),
        (f"alerts: [{ENTRY}]\nalert: []", "alert: unknown field"),
        (f"alerts: [{ENTRY}, A]", "alerts, entry 2: must have rule, principal, severity"),
        ("alerts: [{rule: A, severity: LOW}]", "entry 1: principal: is missing"),
        ("alerts: [{rule: A, principal: x, severity: LO}]", "entry 1: severity: 'LO' is not"),
        ("alerts: [{rule: A, principal: x, severity: 1}]", "entry 1: severity: must be text"),
        ("alerts: [{rule: A, principal: 123456789012, severity: LOW}]", "principal: must be text"),
        ('alerts: [{rule: "", principal: x, severity: LOW}]', "rule: must be the ID of a rule"),
        ("alerts: [{rule: A, principal: x, severity: LOW, user: x}]", "user: unknown field"),
        ("alerts: [{rule: A, principal: x, severity: LOW, count: 0}]", "count: must be a whole"),
        ("alerts: [{rule: A, principal: x, severity: LOW, count: true}]", "count: must be a whole"),
        ("alerts: [{rule: A, rule: B, principal: x, severity: LOW}]", "rule appears twice"),
        ("alerts: [\n", "line 2"),
    ],
)
def test_a_malformed_file_is_refused_by_file_and_field(text, message, tmp_path):
    with pytest.raises(FieldError) as raised:
        read(text, tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'expected.yml'}: ")
    assert message in str(raised.value)


def test_a_file_that_is_not_text_or_missing_is_refused_by_name(tmp_path):
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.yml", "missing.yml", "."):
        with pytest.raises(FieldError, match=str(tmp_path / name)):
            read_expected(tmp_path / name)
