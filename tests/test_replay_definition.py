"""The verdict of a replay per principal is that of the definition, for any attempts."""

import itertools
from collections import defaultdict

import pytest
from aws_role_escalation_config import THRESHOLD, WINDOW_MINUTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.content import write_lines
from tests.builders.events import START, denied, denied_update, role_arn, user
from tests.builders.replays import (
    FAILED_ATTEMPTS,
    replayed,
)

PEOPLE = [
    user("alice"),
    user("bob"),
    identity(PrincipalKind.ROLE, "Deploy", "s1"),
]
WINDOW = WINDOW_MINUTES * 60

attempts = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(["AssumeRole", "UpdateAssumeRolePolicy"]),
        # Around the bounds of the window, to the second
        st.builds(
            lambda half, offset: START + half * WINDOW // 2 + offset,
            st.integers(0, 3),
            st.integers(-2, 2) | st.integers(0, WINDOW // 2),
        ),
        st.integers(0, 13),
    ),
    min_size=20,
    max_size=90,
)


def guilty(found) -> set[str]:
    """Return the principals that must alert by definition.

    In some window of event time, they tried enough distinct targets by one API.
    """
    by_caller = defaultdict(list)
    for who, api, time, role in found:
        by_caller[who["principalId"], api].append((time, role))
    return {
        principal
        for (principal, _), seen in by_caller.items()
        for start, _ in seen
        if len({role for time, role in seen if start <= time <= start + WINDOW}) >= THRESHOLD
    }


@pytest.fixture
def alerting_signal(content_copy):
    """Return a copy of the content in which failed attempts alert by themselves."""
    path = content_copy / "rules" / "aws_cloudtrail_rules"
    path = path / "aws_multiple_failed_role_attempts.yml"
    path.write_text(path.read_text().replace("CreateAlert: false", "CreateAlert: true"))
    return content_copy


@pytest.mark.long
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(attempts, st.randoms(use_true_random=False))
def test_the_verdict_per_principal_equals_the_definition(tmp_path, alerting_signal, found, random):
    records = []
    for number, (who, api, time, role) in enumerate(found):
        make, name = (denied, role_arn) if api == "AssumeRole" else (denied_update, str)
        records.append(make(name(f"role-{role}"), who, time, eventID=f"{number}"))
    records += random.sample(records, len(records) // 4)
    random.shuffle(records)
    trail = tmp_path / f"{next(NUMBERS)}.jsonl"
    write_lines(trail, records)
    outcome = replayed(trail, content=alerting_signal)
    assert outcome.complete
    alerted = {
        alert.event["userIdentity"]["principalId"]
        for alert in outcome.alerts
        if alert.metadata.rule_id == FAILED_ATTEMPTS
    }
    assert alerted == guilty(found)


NUMBERS = itertools.count()
