"""What an incident is, in words: one sentence that says who, what, from where, and how it ended.

Text in it comes from logs and rules as it is: whoever prints it makes it printable.
"""

from collections.abc import Sequence

from local_panther.alerts.model import RULE_ERROR, Alert
from local_panther.roles.principals import described
from local_panther.text import first_of
from local_panther.times import event_time, span

MAX_AGENT = 40  # characters


def who(principal: str, addresses: Sequence[str], agents: Sequence[str]) -> str:
    """Return a principal, from where and with what it called, in words.

    Args:
        principal: Its name; "" if it is unknown.
        addresses: The most frequent first.
        agents: User agents, the most frequent first.
    """
    products = list(dict.fromkeys(map(_product, agents)))
    parts = (
        described(principal) if principal else "",
        f"from {first_of(addresses)}" if addresses else "",
        f"by {first_of(products)}" if products else "",
    )
    return " ".join(filter(None, parts))


def sentence(alerts: Sequence[Alert], who: str, event_count: int, first: float, last: float) -> str:
    """Return the sentence for alerts about anything: the title of the worst leads.

    Args:
        alerts: Worst first.
        who: From `who`.
        event_count: Events behind them; 0 if unknown.
        first: When the first of these happened, in seconds since 1970.
        last: When the last one happened.
    """
    worst, others = alerts[0], len(alerts) - 1
    if worst.kind == RULE_ERROR:
        return f"NOT CHECKED: {worst.title} on {_events(worst.event_count)}: no answer for these"
    more = f" and {others:,} more alert{'s' * (others > 1)}" if others else ""
    when = f"in {span(last - first)}" if last > first else f"at {event_time(first)}"
    events = f"{_events(event_count)} {when}" if event_count else when
    return f"{worst.title}{more}: " + ", ".join(filter(None, (who, events)))


def _events(count: int) -> str:
    return f"{count:,} event{'s' * (count != 1)}"


def _product(agent: str) -> str:
    """Return the product of a user agent: "aws-cli" of "aws-cli/2.17.32 md/…"."""
    name = agent.partition("/")[0].strip("[ ")
    return name if len(name) <= MAX_AGENT else name[:MAX_AGENT] + "…"
