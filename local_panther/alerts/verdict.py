"""The verdict on an incident: one sentence with principal, address, events and outcome.

Text from logs and rules is in it unchanged: whoever prints it must make it printable.
"""

from collections.abc import Sequence

from local_panther.alerts.model import RULE_ERROR, Alert
from local_panther.roles.principals import described
from local_panther.text import first_of
from local_panther.times import event_time, span

MAX_AGENT = 40  # characters


def who(principal: str, addresses: Sequence[str], agents: Sequence[str]) -> str:
    """Return a principal with its address and client, in words.

    Args:
        principal: Name of the principal; "" if it is unknown.
        addresses: Source addresses, most frequent first.
        agents: User agents, most frequent first.
    """
    products = list(dict.fromkeys(map(_product, agents)))
    parts = (
        described(principal) if principal else "",
        f"from {first_of(addresses)}" if addresses else "",
        f"by {first_of(products)}" if products else "",
    )
    return " ".join(filter(None, parts))


def sentence(alerts: Sequence[Alert], who: str, event_count: int, first: float, last: float) -> str:
    """Return the sentence for alerts about anything, which begins with the first alert's title.

    Args:
        alerts: Alerts, most severe first.
        who: Principal with its address and client, from `who`.
        event_count: Number of events; 0 if unknown.
        first: Time of the first event, in seconds since 1970.
        last: Time of the last event.
    """
    worst, others = alerts[0], len(alerts) - 1
    if worst.kind == RULE_ERROR:
        return f"NOT CHECKED: {worst.title} on {_events(worst.event_count)}"
    more = f" and {others:,} more alert{'s' * (others > 1)}" if others else ""
    when = f"in {span(last - first)}" if last > first else f"at {event_time(first)}"
    events = f"{_events(event_count)} {when}" if event_count else when
    return f"{worst.title}{more}: " + ", ".join(filter(None, (who, events)))


def _events(count: int) -> str:
    return f"{count:,} event{'s' * (count != 1)}"


def _product(agent: str) -> str:
    """Return the product name of a user agent: "aws-cli" for "aws-cli/2.17.32 md/…"."""
    name = agent.partition("/")[0].strip("[ ")
    return name if len(name) <= MAX_AGENT else name[:MAX_AGENT] + "…"
