"""The runbook of an alert, step by step, with what the alert says filled in.

A step names a saved query in quotation marks. The parameters of that query are set by name: from
the incident, and from the fields of the alert's context.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_panther.alerts.model import Alert
from local_panther.alerts.timelines import ALERT_TIME, parameters_of
from local_panther.content.filled_sql import FilledQuery, fill
from local_panther.times import clock

STEP = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+", re.MULTILINE)
QUOTED = re.compile(r'"([^"\n]+)"')
WORD = re.compile(r"\w+")
ISSUED_KEY = re.compile(r"issued_?access_?keys?(_?id)?", re.IGNORECASE)
MAX_VALUES = 10  # of a field with many


@dataclass(frozen=True)
class QueryCall:
    """A saved query that a step names.

    Attributes:
        name: The query's.
        filled: Its text with the values.
        values: Those of its parameters that are known.
    """

    name: str
    filled: FilledQuery
    values: tuple[tuple[str, str], ...]

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
    alert: Alert, known: Mapping[str, str], texts: Mapping[str, str]
) -> tuple[Step, ...]:
    """Return the steps of an alert's runbook; one without numbers or bullets is one step.

    Args:
        alert: The alert.
        known: Values for parameters of queries by name, from its incident.
        texts: The SQL of the saved queries by name.
    """
    values = query_values(alert, known)
    fields = _fields(alert)
    found = []
    for text in filter(None, (part.strip() for part in STEP.split(alert.runbook) if part)):
        mentioned = [name for name in dict.fromkeys(WORD.findall(text)) if name in fields]
        facts = tuple((name, fields.pop(name)) for name in mentioned)
        names = [name for name in dict.fromkeys(QUOTED.findall(text)) if name in texts]
        found.append(Step(text, facts, tuple(_call(name, texts[name], values) for name in names)))
    return tuple(found)


def query_values(alert: Alert, known: Mapping[str, str]) -> dict[str, str]:
    """Return what an alert sets the parameters of saved queries to, by name.

    These are the values that its incident knows, over them the texts of its context by field,
    `access_key_id` of the first session that was issued, and `alert_time`.
    """
    found = {
        **known,
        "access_key_id": _issued_key(alert),
        **parameters_of(alert),
        ALERT_TIME: clock(alert.created_at, "%Y-%m-%d %H:%M:%S"),
    }
    return {name: value for name, value in found.items() if value}


def _call(name: str, text: str, values: Mapping[str, str]) -> QueryCall:
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


def _issued_key(alert: Alert) -> str:
    """Return the ID of the first access key that the alert says was issued; "" if it says none."""
    for name, value in _texts(alert.contexts):
        if ISSUED_KEY.fullmatch(name):
            return value.partition(",")[0].strip()
    for event in alert.events:
        response = event.get("responseElements")
        credentials = response.get("credentials") if isinstance(response, Mapping) else None
        key = credentials.get("accessKeyId") if isinstance(credentials, Mapping) else None
        if isinstance(key, str):
            return key
    return ""


def _texts(contexts: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for context in contexts:
        yield from ((n, value) for n, value in context.items() if isinstance(value, str) and value)
