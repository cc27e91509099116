"""Files of expected alerts, which are kept with the content and checked by a replay.

    alerts:
      - rule: AWS.CloudTrail.RoleSearch
        principal: arn:aws:iam::123456789012:user/mallory
        severity: HIGH
        count: 2

JSON of the same shape is valid YAML too. Alerts about errors of rules cannot be expected: a replay
in which a rule fails has failed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from local_panther.alerts.incidents import SEVERITIES, Incident
from local_panther.alerts.model import RULE
from local_panther.box.writing import write_text
from local_panther.errors import FieldError, one_line

FIELDS = ("rule", "principal", "severity")
COUNT = "count"
HEADER = "# The alerts of a replay, for local-panther replay --expect (docs/ci.md).\n"


class ExpectedAlert(NamedTuple):
    """The fields by which alerts are compared.

    Attributes:
        rule: ID of the alert's rule.
        principal: Principal of the alert, as in a replay's JSON and CSV; "" if there is none.
        severity: INFO, LOW, MEDIUM, HIGH or CRITICAL.
    """

    rule: str
    principal: str
    severity: str


class Difference(NamedTuple):
    """A difference between the expected and the found number of equal alerts.

    Attributes:
        alert: Fields of these alerts.
        expected: Number of expected alerts.
        found: Number of found alerts.
    """

    alert: ExpectedAlert
    expected: int
    found: int


def found_alerts(incidents: Iterable[Incident]) -> Counter[ExpectedAlert]:
    """Return the counts of equal alerts of a replay, without alerts about errors of rules."""
    return Counter(
        ExpectedAlert(alert.metadata.rule_id, incident.principal, alert.severity)
        for incident in incidents
        for alert in incident.alerts
        if alert.kind == RULE
    )


def differences(
    expected: Mapping[ExpectedAlert, int], found: Mapping[ExpectedAlert, int]
) -> list[Difference]:
    """Return the differences between two counts, sorted by rule, principal and severity."""
    both = ((alert, expected.get(alert, 0), found.get(alert, 0)) for alert in {*expected, *found})
    return sorted(Difference(*counts) for counts in both if counts[1] != counts[2])


def read_expected(path: Path) -> Counter[ExpectedAlert]:
    """Read a file of expected alerts, YAML or JSON.

    Raises:
        FieldError: The file cannot be read, or a field is missing, unknown or invalid; the message
            names file, entry and field.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        return _alerts(document)
    except OSError as error:
        raise FieldError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # FieldError is a ValueError
        raise FieldError(f"{path}: {one_line(error)}") from error


def write_expected(found: Mapping[ExpectedAlert, int], path: Path) -> None:
    """Write alerts as a file of expected alerts, sorted, which keeps later differences small.

    Raises:
        OSError: The file cannot be written.
    """
    entries = [
        alert._asdict() | ({COUNT: count} if count > 1 else {})
        for alert, count in sorted(found.items())
    ]
    text = yaml.safe_dump({"alerts": entries}, sort_keys=False, width=1000)
    write_text(path, HEADER + text)


class _Loader(yaml.SafeLoader):
    """A loader of YAML that refuses repeated keys, whose first value would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's own
        counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if repeated := [key for key, count in counts.items() if count > 1]:
            line = node.start_mark.line + 1
            raise FieldError(f"line {line}: {repeated[0]} appears twice in one entry")
        return super().construct_mapping(node, deep)


def _alerts(document: Any) -> Counter[ExpectedAlert]:
    if not isinstance(document, dict) or not isinstance(document.get("alerts"), list):
        raise FieldError("alerts: must be a list; to expect no alert write alerts: []")
    if unknown := [key for key in document if key != "alerts"]:
        raise FieldError(f"{unknown[0]}: unknown field; the only one here is alerts")
    expected: Counter[ExpectedAlert] = Counter()
    for number, entry in enumerate(document["alerts"], 1):
        try:
            expected[_alert(entry)] += _count(entry)
        except FieldError as error:
            raise FieldError(f"alerts, entry {number}: {error}") from error
    return expected


def _alert(entry: Any) -> ExpectedAlert:
    if not isinstance(entry, dict):
        raise FieldError(f"must have {', '.join(FIELDS)}")
    if problem := next(_problems(entry), ""):
        raise FieldError(problem)
    rule, principal, severity = (entry[name] for name in FIELDS)
    return ExpectedAlert(rule, principal, severity.upper())


def _problems(entry: Mapping[Any, Any]) -> Iterator[str]:
    """Yield the problems of an entry; each check relies on the earlier ones having passed."""
    for name in entry:
        if name not in (*FIELDS, COUNT):
            yield f"{name}: unknown field; known are {', '.join(FIELDS)} and {COUNT}"
    for name in FIELDS:
        if name not in entry:
            hint = '; write principal: "" if the alert names nobody' * (name == "principal")
            yield f"{name}: is missing{hint}"
        elif not isinstance(entry[name], str):
            yield f"{name}: must be text; put it in quotes"
    if not entry["rule"]:
        yield "rule: must be the ID of a rule"
    if entry["severity"].upper() not in SEVERITIES:
        yield f"severity: {entry['severity']!r} is not {', '.join(SEVERITIES[:-1])} or INFO"


def _count(entry: Mapping[str, Any]) -> int:
    count = entry.get(COUNT, 1)
    if type(count) is not int or count < 1:
        raise FieldError(f"{COUNT}: must be a whole number from 1; {count!r} is not")
    return count
