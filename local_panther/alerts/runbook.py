"""The runbook of an alert, step by step, with what the alert says filled in.

A step names a saved query in quotation marks. The parameters of that query are set by name: from
the incident, and from the fields of the alert's context.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from local_panther.alerts.model import Alert
from local_panther.alerts.parameters import ALERT_TIME, parameters_of
from local_panther.times import clock

if TYPE_CHECKING:
    from local_panther.content.filled_sql import FilledQuery

STEP = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+", re.MULTILINE)
QUOTED = re.compile(r'"([^"\n]+)"')
WORD = re.compile(r"\w+")
ISSUED_KEY = re.compile(r"issued_?access_?keys?(_?id)?", re.IGNORECASE)
MAX_VALUES = 10  # of a field with many
SEVERAL = ("access_key_id", "role_name")  # parameters that can have a value for each call
MAX_CALLS = 10  # of one query, which is there for each of several keys or roles


@dataclass(frozen=True)
class QueryCall:
    """A saved query that a step names.

    Attributes:
        name: The query's.
        filled: Its text with the values.
        values: Those of its parameters that are known.
        others: How many further roles or keys the last of MAX_CALLS stands for.
    """

    name: str
    filled: "FilledQuery"
    values: tuple[tuple[str, str], ...]
    others: int = 0

    @property
    def about(self) -> str:
        """The role or access key that it looks for, of which a step can have several."""
        values = dict(self.values)
        return next((values[name] for name in SEVERAL if name in values), "")

    @property
    def can_run(self) -> bool:
        """False if the alert says nothing that it could look for."""
        is_known = any(name != ALERT_TIME for name, _ in self.values)
        return is_known or not self.filled.missing

    def command(self, paths: Sequence[str]) -> str:
        """Return the command that runs it over recorded CloudTrail.

        Args:
            paths: Where that is, and further arguments.
        """
        settings = [f"--set={name}={value}" for name, value in self.values]
        return shlex.join(["local-panther", "query", self.name, *paths, *settings])


@dataclass(frozen=True)
class Step:
    """One step of a runbook.

    Attributes:
        text: What to do, as the runbook has it.
        facts: Name and values of the fields of the alert's context that it mentions and that no
            earlier step did.
        queries: The saved queries that it names.
    """

    text: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    queries: tuple[QueryCall, ...]


@dataclass(frozen=True)
class Runbook:
    """The runbook of one or more alerts.

    Attributes:
        alert: The worst alert that it belongs to.
        steps: Its steps, filled in with what that alert says.
    """

    alert: Alert
    steps: tuple[Step, ...]


def runbook_steps(
    alert: Alert,
    known: Mapping[str, str],
    texts: Mapping[str, str],
    roles: Sequence[Mapping[str, str]] = (),
    keys: Sequence[str] = (),
) -> tuple[Step, ...]:
    """Return the steps of an alert's runbook; one without numbers or bullets is one step.

    A query that takes one access key or role is there for each that alert and incident name.

    Args:
        alert: The alert.
        known: Values for parameters of queries by name, from its incident.
        texts: The SQL of the saved queries by name.
        roles: `role_name` and `account` of each role that was entered.
        keys: Access keys that were issued, beside those that the alert says: a query that ran once
            knows the sessions until then.
    """
    values = query_values(alert, known)
    each: dict[str, Sequence[Mapping[str, str]]] = {
        "access_key_id": [
            {"access_key_id": key} for key in dict.fromkeys([*issued_keys(alert), *keys])
        ],
        "role_name": roles,
    }
    fields = _fields(alert)
    found = []
    for text in filter(None, (part.strip() for part in STEP.split(alert.runbook) if part)):
        mentioned = [name for name in dict.fromkeys(WORD.findall(text)) if name in fields]
        facts = tuple((name, fields.pop(name)) for name in mentioned)
        names = [name for name in dict.fromkeys(QUOTED.findall(text)) if name in texts]
        calls = (call for name in names for call in _calls(name, texts[name], values, each))
        found.append(Step(text, facts, tuple(calls)))
    return tuple(found)


def query_values(alert: Alert, known: Mapping[str, str]) -> dict[str, str]:
    """Return what an alert sets the parameters of saved queries to, by name.

    These are the values that its incident knows, over them the texts of its context by field,
    `access_key_id` of the first session that was issued, and `alert_time`.
    """
    found = {
        **known,
        "access_key_id": next(iter(issued_keys(alert)), ""),
        **parameters_of(alert),
        ALERT_TIME: clock(alert.created_at, "%Y-%m-%d %H:%M:%S"),
    }
    return {name: value for name, value in found.items() if value}


def _calls(
    name: str,
    text: str,
    values: Mapping[str, str],
    each: Mapping[str, Sequence[Mapping[str, str]]],
) -> Iterator[QueryCall]:
    """Yield a query for each value of a parameter that has several, up to MAX_CALLS."""
    call = _call(name, text, values)
    several = next((each[one] for one in call.filled.names if len(each.get(one, ())) > 1), ())
    for number, more in enumerate(several[:MAX_CALLS], 1):
        others = len(several) - number if number == MAX_CALLS else 0
        yield replace(_call(name, text, {**values, **more}), others=others)
    if not several:
        yield call


def _call(name: str, text: str, values: Mapping[str, str]) -> QueryCall:
    from local_panther.content.filled_sql import fill

    filled = fill(text, values)
    return QueryCall(name, filled, tuple((n, values[n]) for n in filled.names if n in values))


def _fields(alert: Alert) -> dict[str, tuple[str, ...]]:
    """Return the scalar fields and lists of an alert's context, as texts."""
    found: dict[str, tuple[str, ...]] = {}
    for context in alert.contexts:
        for name, value in context.items():
            entries = value if isinstance(value, list) else [value]
            if entries and not any(
                isinstance(e, (Mapping, list)) or e in (None, "") for e in entries
            ):
                found[name] = tuple(map(str, entries[:MAX_VALUES]))
    return found


def issued_keys(alert: Alert) -> list[str]:
    """Return the IDs of the access keys that the alert says were issued."""
    for name, value in _texts(alert.contexts):
        if ISSUED_KEY.fullmatch(name):
            return list(dict.fromkeys(filter(None, (key.strip() for key in value.split(",")))))
    found: dict[str, None] = {}
    for event in alert.events:
        response = event.get("responseElements")
        credentials = response.get("credentials") if isinstance(response, Mapping) else None
        key = credentials.get("accessKeyId") if isinstance(credentials, Mapping) else None
        if isinstance(key, str):
            found[key] = None
    return list(found)


def _texts(contexts: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for context in contexts:
        yield from ((n, value) for n, value in context.items() if isinstance(value, str) and value)
