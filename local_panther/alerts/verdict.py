"""The verdict: one sentence that says of an incident who, what, from where, and whether it worked.

ENTERED 1 of 300 roles: mallory (IAM user, 123456789012) from 198.51.100.23 by aws-cli, 25 min;
listed roles 2 min 30 s before; first success NetworkOperatorRole10 10:31:30Z
"""

from collections.abc import Sequence

from local_panther.activity.principals import described
from local_panther.activity.role_calls import UPDATE_TRUST_POLICY, RoleCall, name_of
from local_panther.alerts.incidents import Incident
from local_panther.alerts.model import RULE_ERROR
from local_panther.alerts.role_facts import RoleFacts
from local_panther.times import clock, event_time, span

MAX_AGENT = 40  # characters


def verdict(incident: Incident) -> str:
    """Return the one sentence to read first.

    Text in it comes from logs and rules as it is: whoever prints it makes it printable.
    """
    if incident.alerts[0].kind == RULE_ERROR:
        return _rule_error(incident)
    if incident.roles:
        return "; ".join(_role_parts(incident, incident.roles))
    return _general(incident)


def answer(facts: RoleFacts) -> str:
    """Return what was tried and entered: "ENTERED 1 of 12 roles"."""
    tried, entered = len(facts.tried), len(facts.entered)
    if tried == 1:
        return f"{'ENTERED' if entered else 'DENIED on'} role {name_of(facts.tried[0])}"
    roles = f"{tried:,} roles{' or more' if facts.is_minimum else ''}"
    if entered:
        return f"ENTERED {entered:,} of {roles}"
    return f"DENIED on {'' if facts.is_minimum else 'all '}{roles}"


def _role_parts(incident: Incident, facts: RoleFacts) -> list[str]:
    length = facts.last - facts.first
    times = span(length) if length else event_time(facts.first)
    parts = [f"{answer(facts)}: {_who(incident)}, {times}"]
    listed = facts.listed
    if listed is not None:
        when = f"{span(listed)} before" if listed >= 0 else f"{span(-listed)} after it began"
        parts.append(f"listed roles {when}")
    if facts.entered:
        parts += _successes(facts.entered, facts)
    return parts


def _successes(entered: Sequence[RoleCall], facts: RoleFacts) -> list[str]:
    first = entered[0]
    changed = [call for call in entered if call.api == UPDATE_TRUST_POLICY]
    parts = []
    if len(facts.tried) > 1:
        is_same_day = event_time(first.time)[:10] == event_time(facts.first)[:10]
        time = clock(first.time, "%H:%M:%SZ") if is_same_day else event_time(first.time)
        parts.append(f"first success {name_of(first.role)} {time}")
    if changed:
        parts.append(f"changed the trust policy of {_some([name_of(c.role) for c in changed])}")
    return parts


def _general(incident: Incident) -> str:
    worst = incident.alerts[0]
    others = len(incident.alerts) - 1
    more = f" and {others:,} more alert{'s' * (others > 1)}" if others else ""
    events = incident.event_count
    count = f"{events:,} event{'s' * (events != 1)}" if events else ""
    length = incident.last - incident.first
    when = f"in {span(length)}" if length else f"at {event_time(incident.first)}"
    who = _who(incident)
    parts = [f"{worst.title}{more}", ", ".join(filter(None, (who, f"{count} {when}".strip())))]
    return ": ".join(parts)


def _rule_error(incident: Incident) -> str:
    alert = incident.alerts[0]
    events = f"{alert.event_count:,} event{'s' * (alert.event_count != 1)}"
    return f"NOT CHECKED by {alert.title}: no answer for {events}"


def _who(incident: Incident) -> str:
    who = described(incident.principal) if incident.principal else ""
    address = f"from {_some(incident.addresses)}" if incident.addresses else ""
    agents = list(dict.fromkeys(_product(agent) for agent in incident.agents))
    agent = f"by {_some(agents)}" if agents else ""
    return " ".join(filter(None, (who, address, agent)))


def _product(agent: str) -> str:
    """Return the name in front of a user agent: "aws-cli" of "aws-cli/2.17.32 md/…"."""
    name = agent.partition("/")[0].strip("[ ")
    return name if len(name) <= MAX_AGENT else name[:MAX_AGENT] + "…"


def _some(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]} and {more:,} more" if more else names[0]
