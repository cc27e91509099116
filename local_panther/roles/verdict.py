"""What happened to roles, in words.

ENTERED 1 of 300 roles: mallory (IAM user, 123456789012) from 198.51.100.23 by aws-cli, 25 min;
listed roles 2 min 30 s before; first success NetworkOperatorRole10 10:31:30Z
"""

from collections.abc import Sequence

from local_panther.roles.calls import UPDATE_TRUST_POLICY, RoleCall, name_of
from local_panther.roles.facts import RoleFacts
from local_panther.text import first_of
from local_panther.times import clock, event_time, span


def answer(facts: RoleFacts) -> str:
    """Return what was tried and entered: "ENTERED 1 of 12 roles"."""
    tried, entered = len(facts.tried), len(facts.entered)
    if tried == 1:
        return f"{'ENTERED' if entered else 'DENIED on'} role {name_of(facts.tried[0])}"
    roles = f"{tried:,} roles{' or more' if facts.is_minimum else ''}"
    if entered:
        return f"ENTERED {entered:,} of {roles}"
    return f"DENIED on {'' if facts.is_minimum else 'all '}{roles}"


def sentence(facts: RoleFacts, who: str) -> str:
    """Return the sentence to read first.

    Args:
        facts: What a principal did with roles.
        who: The principal, from where and with what, in words.
    """
    length = facts.last - facts.first
    times = span(length) if length else event_time(facts.first)
    parts = [f"{answer(facts)}: {who}, {times}"]
    listed = facts.listed
    if listed is not None:
        when = f"{span(listed)} before" if listed >= 0 else f"{span(-listed)} after it began"
        parts.append(f"listed roles {when}")
    if facts.entered:
        parts += _successes(facts.entered, facts)
    return "; ".join(parts)


def _successes(entered: Sequence[RoleCall], facts: RoleFacts) -> list[str]:
    first = entered[0]
    changed = [call for call in entered if call.api == UPDATE_TRUST_POLICY]
    parts = []
    if len(facts.tried) > 1:
        is_same_day = event_time(first.time)[:10] == event_time(facts.first)[:10]
        time = clock(first.time, "%H:%M:%SZ") if is_same_day else event_time(first.time)
        parts.append(f"first success {name_of(first.role)} {time}")
    if changed:
        parts.append(f"changed the trust policy of {first_of([name_of(c.role) for c in changed])}")
    return parts
