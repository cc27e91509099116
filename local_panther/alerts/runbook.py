"""The steps of an alert's runbook, with queries whose parameters are filled in from the alert.

A step names saved queries in quotation marks. Parameters of a query are set by name, from the
incident and from the fields of the alert's context.
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
MAX_VALUES = 10  # values of a field that are shown
SEVERAL = ("access_key_id", "role_name")  # parameters that can have several values, one a call
MAX_CALLS = 10  # calls of one query, one for each of several keys or roles


@dataclass(frozen=True)
class QueryCall:
    """A call of a saved query that a step names.

    Attributes:
        name: Name of the query.
        filled: SQL of the query with the values.
        values: Names and values of the parameters that are known.
        others: Number of further roles or keys without a call; 0 for all but the last call.
    """

    name: str
    filled: "FilledQuery"
    values: tuple[tuple[str, str], ...]
    others: int = 0

    @property
    def about(self) -> str:
        """Role or access key of this call; "" if the query has no such parameter."""
        values = dict(self.values)
        return next((values[name] for name in SEVERAL if name in values), "")

    @property
    def can_run(self) -> bool:
        """True if the query can run: a parameter is known, or none is missing."""
        is_known = any(name != ALERT_TIME for name, _ in self.values)
        return is_known or not self.filled.missing

    def command(self, paths: Sequence[str]) -> str:
        """Return the command that runs the query over recorded CloudTrail.

        Args:
            paths: Paths of the files, and further arguments.
        """
        settings = [f"--set={name}={value}" for name, value in self.values]
        return shlex.join(["local-panther", "query", self.name, *paths, *settings])


@dataclass(frozen=True)
class Step:
    """A step of a runbook.

    Attributes:
        text: Text of the step in the runbook.
        facts: Name and values of each field of the alert's context that this step is the first to
            mention.
        queries: Calls of the saved queries that it names.
    """

    text: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    queries: tuple[QueryCall, ...]


@dataclass(frozen=True)
class Runbook:
    """A runbook of one or more alerts.

    Attributes:
        alert: The most severe of these alerts.
        steps: Steps, with values of that alert filled in.
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

    A query with a parameter for an access key or role has a call for each key or role of the alert
    and the incident.

    Args:
        alert: The alert.
        known: Values for parameters of queries by name, from its incident.
        texts: SQL of the saved queries by name.
        roles: `role_name` and `account` of each role that was entered.
        keys: Issued access keys of the incident: the alert's query may have run before some of them
            were issued.
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
    """Return the values of an alert for parameters of saved queries, by name.

    They are the values of its incident, `access_key_id` of the first issued session, the texts of
    its context by field, and `alert_time`; a later one replaces an earlier one.
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
    """Yield a call for each value of a parameter that has several, up to MAX_CALLS."""
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
    """Return the IDs of issued access keys, from the alert's context or else its events."""
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
