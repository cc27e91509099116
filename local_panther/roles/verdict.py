"""Words the verdict: one sentence on the roles that a principal tried, and the outcome.

ENTERED 1 of 300 roles: mallory (IAM user, 123456789012) from 198.51.100.23 by aws-cli, over 25 min;
listed roles 2 min 30 s before; first success NetworkOperatorRole10 10:31:30Z
"""

from collections.abc import Sequence

from local_panther.roles.calls import QUARANTINE, UPDATE_TRUST_POLICY, RoleCall, name_of
from local_panther.roles.facts import RoleFacts, refused
from local_panther.text import first_of
from local_panther.times import clock, event_time, span


def answer(facts: RoleFacts) -> str:
    """Return the outcome and the number of roles that were tried: "ENTERED 1 of 12 roles"."""
    opens = facts.open
    if len(facts.tried) == 1 and not opens:
        return f"{_ended(facts)} role {name_of(facts.tried[0])}"
    roles = f"{_count(len(facts.tried), 'role')}{' or more' if facts.is_minimum else ''}"
    names = _names(facts) if facts.is_fan_out else ""
    only_changed = [role for role in facts.changed if role not in facts.assumed]
    if facts.assumed:
        said = f"ENTERED {len(facts.assumed):,} of {roles}"
        if only_changed:
            said += f", CHANGED the trust policy of {len(only_changed):,}"
    elif only_changed:
        said = f"CHANGED the trust policy of {len(only_changed):,} of {roles}"
    elif opens:
        said = f"{_denied(facts)} on {refused(facts):,} of {roles}"
    elif names:
        return f"{_denied(facts)} on {names}"
    else:
        said = f"{_denied(facts)} on {'' if facts.is_minimum else 'all '}{roles}"
    return ", ".join([said, *[names][: bool(names)], *_open(opens)])


def _ended(facts: RoleFacts) -> str:
    """Return the outcome of the attempts on the only role that was tried."""
    if facts.assumed:
        return "ENTERED"
    return "CHANGED the trust policy of" if facts.changed else f"{_denied(facts)} on"


def _denied(facts: RoleFacts) -> str:
    return f"DENIED {' and '.join(facts.denied_apis)}"


def _names(facts: RoleFacts) -> str:
    names = {name_of(role) for role in facts.tried}
    accounts = {role.partition(":")[0] for role in facts.tried}
    return f"{_count(len(names), 'role name')} in {_count(len(accounts), 'account')}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def sentence(facts: RoleFacts, who: str) -> str:
    """Return the whole verdict: the sentence that an analyst reads first.

    Args:
        facts: Facts about a principal and roles.
        who: The principal with its address and client, in words.
    """
    length = facts.last - facts.first
    times = f"over {span(length)}" if length else event_time(facts.first)
    quarantine = next((name_of(p) for p in facts.policies if QUARANTINE in p), "")
    leaked = f"LEAKED KEY ({quarantine}): " if quarantine else ""
    parts = [f"{leaked}{answer(facts)}: {who}, {times}"]
    listed = facts.listed
    if listed is not None:
        when = "before" if listed >= 0 else "after the first attempt"
        parts.append(f"listed roles {span(abs(listed))} {when}")
    if facts.entered:
        parts += _successes(facts.entered, facts)
    if facts.habits:
        count = len(facts.habits)
        roles = f"{count:,} more role{'s' * (count > 1)}"
        parts.append(f"also entered {roles}, as on the day before")
    if len(facts.source_identities) > 1:
        count = len(facts.source_identities)
        parts.append(f"{count:,} source identities: {first_of(facts.source_identities)}")
    if facts.policies and not quarantine:
        parts.append(f"denied by {first_of([name_of(policy) for policy in facts.policies])}")
    return "; ".join(parts)


def _open(calls: Sequence[RoleCall]) -> list[str]:
    policies = [call for call in calls if call.api == UPDATE_TRUST_POLICY]
    sessions = len(calls) - len(policies)
    parts = []
    if sessions:
        parts.append(f"{sessions:,} can be assumed with a shorter session")
    if policies:
        parts.append(f"the trust policy of {len(policies):,} can be changed")
    return parts


def _successes(entered: Sequence[RoleCall], facts: RoleFacts) -> list[str]:
    first = entered[0]
    parts = []
    if len(facts.tried) > 1:
        is_same_day = event_time(first.time)[:10] == event_time(facts.first)[:10]
        time = clock(first.time, "%H:%M:%SZ") if is_same_day else event_time(first.time)
        what = "first success" if facts.assumed else "first change"
        parts.append(f"{what} {name_of(first.role)} {time}")
    # If a single change is the only success, the answer or the first change names its role.
    if facts.changed and (facts.assumed or len(facts.changed) > 1):
        parts.append(f"changed the trust policy of {first_of([name_of(r) for r in facts.changed])}")
    return parts
