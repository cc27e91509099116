"""Property tests of severities, for any successes and in any order of arrival."""

import json

import aws_role_escalation_config as config
import distinct_window_helpers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.detection.store import key_value_store
from tests.builders.events import START, assumed, denied, event, role_arn
from tests.builders.queries import HUNT, SUCCEEDED, rows_of
from tests.builders.rules import FAILED_ATTEMPTS, LIST_ROLES, in_place
from tests.scale import examples
from tests.shipped.test_streams import (
    FAN_OUT,
    SEARCH,
    accounts,
    listed,
    spray,
    trusted,
)

GRADES = ["", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * 60
HOUR, DAY = 3600, 86_400


@pytest.fixture(scope="module")
def success_rule():
    return in_place("aws_role_escalation_succeeded")


def grade(records, rule):
    """Return the worst severity of the success alerts of these records, as its place in GRADES."""
    rows = rows_of(SUCCEEDED, records, now=START + 2 * HOUR)
    results = [rule.run(event(row), {}, {}, batch_mode=True) for row in rows]
    assert all(result.fatal_error is None for result in results)
    severities = [
        result.severity_output or "CRITICAL" for result in results if result.trigger_alert
    ]
    return max(map(GRADES.index, severities), default=0)


ROLES = st.integers(0, T + 3).map("Role{:02}".format) | st.sampled_from(["X", "Y"])
TIMES = st.integers(-9 * 60, 45 * 60).map(lambda offset: START + offset)


def success(role, time, *, changes_trust=False):
    return trusted(role, time=time) if changes_trust else assumed(role_arn(role), time=time)


SUCCESSES = st.builds(success, ROLES, TIMES, changes_trust=st.booleans())


def role_of(record):
    given = record["requestParameters"]
    return given.get("roleName") or given["roleArn"].rsplit("/", 1)[-1]


@pytest.mark.long
@settings(
    max_examples=examples(40, 1500),
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(["search", "fan-out", "deployment"]),
    st.lists(SUCCESSES, max_size=4),
    SUCCESSES,
    st.sampled_from([60, 170, 400]),
)
def test_one_more_role_that_opens_never_lowers_the_grade(success_rule, kind, before, more, delay):
    if kind == "fan-out":
        burst = [
            denied(role_arn("Role00", account), time=START + i)
            for i, account in enumerate(accounts(T + 2))
        ]
    else:
        burst = spray(count=T + 2, step=10)
    if kind == "deployment":
        times = [START + i * 10 + delay for i in range(T + 2)]
        burst += [assumed(role_arn(f"Role{i:02}"), time=time) for i, time in enumerate(times)]
    records = [*burst, *before]
    opened = {role_of(record) for record in records if not record.get("errorCode")}
    if role_of(more) in opened:
        more = success("Another", START + 900)
    assert grade([*records, more], success_rule) >= grade(records, success_rule)


@st.composite
def arrivals(draw):
    """Draw failed attempts in one account and in others, in any order of arrival."""
    count = draw(st.integers(T - 3, T + 2))
    span = draw(st.sampled_from([60, WINDOW - 1, WINDOW + 300]))
    own = [(role_arn(f"Role{i:02}"), START + i * span // count) for i in range(count)]
    fakes = draw(st.integers(0, 3 * T))
    times = st.integers(0, span).map(lambda offset: START + offset)
    others = [(role_arn("Role00", account), draw(times)) for account in accounts(fakes)]
    found = [*own, *others]
    draw(st.randoms(use_true_random=False)).shuffle(found)
    return [
        denied(target, time=time) | {"eventID": f"e{i}"} for i, (target, time) in enumerate(found)
    ]


def through_the_rules(records, rules):
    """Return the matches of the two rules on attempts, for records that arrive after a listing."""
    signal, stream, discovery = rules
    distinct_window_helpers._known.clear()
    with key_value_store():
        assert discovery.run(event(listed()), {}, {}, batch_mode=True).trigger_alert
        results = [
            (rule, rule.run(event(record), {}, {}, batch_mode=True))
            for record in records
            for rule in (signal, stream)
        ]
    assert all(result.fatal_error is None for _, result in results)
    return [(rule, result) for rule, result in results if result.trigger_alert]


@pytest.fixture(scope="module")
def rules():
    return in_place(FAILED_ATTEMPTS), in_place("aws_role_search"), in_place(LIST_ROLES)


@settings(max_examples=examples(25, 600), suppress_health_check=list(HealthCheck))
@given(arrivals())
def test_a_search_is_recognised_in_any_order_of_arrival_and_as_in_sql(rules, records):
    signal, stream, _ = rules
    matched = through_the_rules(records, rules)
    contexts = [json.loads(r.alert_context_output) for rule, r in matched if rule is signal]
    labels = {context["pattern"] for context in contexts}
    grades = {result.severity_output for rule, result in matched if rule is stream}
    patterns = {row["pattern"] for row in rows_of(HUNT, records, now=START + DAY)}
    assert (SEARCH in labels) == (SEARCH in patterns)
    assert bool(labels) == bool(patterns)
    assert ("HIGH" in grades) == (SEARCH in patterns)
    assert FAN_OUT in labels or patterns != {FAN_OUT}
