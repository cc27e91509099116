"""Converts stored items from YAML to the form of the REST API and back."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from local_panther.alerts.incidents import SEVERITIES
from local_panther.content.model import DEFAULT_DEDUP_MINUTES
from local_panther.content.simple import transpile_detection
from local_panther.errors import FieldError
from local_panther.instance.apis.identity import NAMESPACE
from local_panther.instance.apis.rest.requests import BAD, RequestError
from local_panther.instance.check.safe_yaml import load_yaml

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A key of an item in the API, and its key in the YAML.

    Attributes:
        name: The key in the API.
        key: The key in the YAML.
        shown: Converts a value of the YAML to that of the API.
        read: Converts a value of the API to that of the YAML.
        default: The API's value if the YAML has none; if it is None, the key is left out.
    """

    name: str
    key: str
    shown: Callable[[Any], Any] = lambda value: value
    read: Callable[[Any], Any] = lambda value: value
    default: Any = None


def _as_yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def _shown_tests(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": test["Name"],
            "expectedResult": test["ExpectedResult"],
            "resource": json.dumps(test.get("Log", test.get("Resource")), default=str),
            "mocks": [{m["objectName"]: str(m["returnValue"])} for m in test.get("Mocks") or []],
        }
        for test in tests
    ]


def _read_tests(key: str) -> Callable[[Any], list[dict[str, Any]]]:
    def read(tests: Any) -> list[dict[str, Any]]:
        found = []
        for test in tests:
            read = {
                "Name": test["name"],
                "ExpectedResult": test["expectedResult"],
                key: json.loads(test["resource"]),
            }
            mocks = [
                {"objectName": name, "returnValue": value}
                for mock in test.get("mocks") or []
                for name, value in mock.items()
            ]
            found.append(read | ({"Mocks": mocks} if mocks else {}))
        return found

    return read


def _shown_mappings(mappings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name.lower(): value for name, value in mapping.items()} for mapping in mappings]


def _read_mappings(mappings: Any) -> list[dict[str, Any]]:
    return [{name.title(): value for name, value in entry.items() if value} for entry in mappings]


def _read_severity(value: Any) -> str:
    if value not in SEVERITIES:
        raise RequestError(BAD, f"severity: {value!r} is not one of {', '.join(SEVERITIES)}")
    return str(value).title()


def _shown_schedule(schedule: Spec) -> dict[str, Any]:
    names = {"cron": "CronExpression", "rateMinutes": "RateMinutes"}
    names["timeoutMinutes"] = "TimeoutMinutes"
    return {name: schedule[key] for name, key in names.items() if key in schedule}


def _read_schedule(schedule: Any) -> dict[str, Any]:
    names = {"cron": "CronExpression", "rateMinutes": "RateMinutes"}
    names["timeoutMinutes"] = "TimeoutMinutes"
    return {key: schedule[name] for name, key in names.items() if schedule.get(name)}


DESCRIBED = (Field("description", "Description", default=""),)
NAMED = (*DESCRIBED, Field("displayName", "DisplayName", default=""))
TAGGED = (Field("tags", "Tags", default=[]),)
DETECTION = (
    *NAMED,
    *TAGGED,
    Field("enabled", "Enabled", default=False),
    Field("severity", "Severity", str.upper, _read_severity),
    Field("reports", "Reports", default={}),
    Field("outputIDs", "OutputIds", default=[]),
)
RULE = (
    *DETECTION,
    Field("tests", "Tests", _shown_tests, _read_tests("Log"), []),
    Field("runbook", "Runbook", default=""),
    Field("threshold", "Threshold", default=1),
    Field("dedupPeriodMinutes", "DedupPeriodMinutes", default=DEFAULT_DEDUP_MINUTES),
    Field("summaryAttributes", "SummaryAttributes", default=[]),
)
LOGGED = (Field("logTypes", "LogTypes", default=[]),)
FILTERED = (Field("inlineFilters", "InlineFilters", _as_yaml, load_yaml),)
SIMPLE = (
    Field("detection", "Detection", _as_yaml, load_yaml),
    Field("alertTitle", "AlertTitle"),
    Field("alertContext", "AlertContext", _as_yaml, load_yaml),
    Field("dynamicSeverities", "DynamicSeverities", _as_yaml, load_yaml),
    Field("groupBy", "GroupBy", _as_yaml, load_yaml),
)
POLICY = (
    *DETECTION,
    Field("tests", "Tests", _shown_tests, _read_tests("Resource"), []),
    Field("resourceTypes", "ResourceTypes", default=[]),
    Field("suppressions", "Suppressions", default=[]),
)
DATA_MODEL = (
    *NAMED,
    *LOGGED,
    Field("enabled", "Enabled", default=False),
    Field("mappings", "Mappings", _shown_mappings, _read_mappings, []),
)
QUERY = (*DESCRIBED, Field("schedule", "Schedule", _shown_schedule, _read_schedule))
SQL_KEYS = ("Query", "SnowflakeQuery", "DatabricksQuery", "AthenaQuery")


@dataclass(frozen=True)
class Form:
    """A kind of items in the API.

    Attributes:
        path: The first part of its paths.
        kinds: The AnalysisTypes of its items.
        id_key: The key of the ID in the YAML.
        name: The noun for an item in messages.
        fields: The keys of an item.
        is_simple: True for rules with a Detection, False for those with a Python body.
    """

    path: str
    kinds: tuple[str, ...]
    id_key: str
    name: str
    fields: tuple[Field, ...]
    is_simple: bool = False

    def takes(self, spec: Spec) -> bool:
        """Return whether an item belongs to this kind."""
        return spec["AnalysisType"] in self.kinds and (
            spec["AnalysisType"] != "rule" or ("Detection" in spec) == self.is_simple
        )

    def id_of(self, item_id: str) -> str:
        """Return the ID of an item in the API; for a query, it differs from the name."""
        is_query = self.fields is QUERY
        return str(uuid.uuid5(NAMESPACE, item_id)) if is_query else item_id

    def shown(self, spec: Spec, body: str, *, with_python: bool = True) -> dict[str, Any]:
        """Return an item in the form of the API.

        Args:
            spec: The YAML of the item.
            body: Its Python, "" if it has none.
            with_python: Include the Python of a simple rule.
        """
        item_id = spec[self.id_key]
        plain: dict[str, Any] = {"id": self.id_of(item_id), "managed": False}
        for field in self.fields:
            value = spec.get(field.key)
            shown = field.default if value is None else field.shown(value)
            if shown is not None:
                plain[field.name] = shown
        if self.fields is QUERY:
            plain |= {"name": item_id, "sql": next((spec[k] for k in SQL_KEYS if k in spec), "")}
        elif self.is_simple:
            plain |= {"pythonBody": _python(spec)} if with_python else {}
        else:
            plain["body"] = body
        return plain

    def read(self, plain: Spec, before: Spec) -> dict[str, Any]:
        """Return the YAML of an item that a client sent.

        Args:
            plain: The item in the form of the API.
            before: The stored YAML; keys that the API does not have are kept.

        Raises:
            RequestError: A value has an unknown form.
        """
        spec = {"AnalysisType": self.kinds[0], "Enabled": True} | dict(before)
        if self.fields is QUERY:
            is_scheduled = bool(plain.get("schedule"))
            spec["AnalysisType"] = self.kinds[is_scheduled]
            sql_key = next((key for key in SQL_KEYS if key in spec), SQL_KEYS[0])
            spec |= {"QueryName": plain["name"], sql_key: plain["sql"]}
            if not is_scheduled:
                spec = {k: v for k, v in spec.items() if k not in ("Enabled", "Schedule")}
        else:
            spec[self.id_key] = plain["id"]
        for field in self.fields:
            if plain.get(field.name) is None:
                continue
            try:
                value = field.read(plain[field.name])
            except (LookupError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
                raise RequestError(BAD, f"{field.name}: {error}") from error
            if value or field.key in before:
                spec[field.key] = value
        if not any(field.key == "Enabled" for field in self.fields) and self.fields is not QUERY:
            spec.pop("Enabled", None)
        return spec


FORMS = (
    Form("rules", ("rule",), "RuleID", "rule", (*RULE, *LOGGED, *FILTERED)),
    Form(
        "scheduled-rules",
        ("scheduled_rule",),
        "RuleID",
        "scheduled rule",
        (*RULE, Field("scheduledQueries", "ScheduledQueries", default=[])),
    ),
    Form(
        "simple-rules",
        ("rule",),
        "RuleID",
        "simple rule",
        (*RULE, *LOGGED, *FILTERED, *SIMPLE),
        is_simple=True,
    ),
    Form("policies", ("policy",), "PolicyID", "policy", POLICY),
    Form("data-models", ("datamodel",), "DataModelID", "data model", DATA_MODEL),
    Form("globals", ("global",), "GlobalID", "global helper", (*DESCRIBED, *TAGGED)),
    Form("queries", ("saved_query", "scheduled_query"), "QueryName", "query", QUERY),
)


def _python(spec: Spec) -> str:
    try:
        return transpile_detection(spec)
    except FieldError as error:
        return f"# {error}\n"
