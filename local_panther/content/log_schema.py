"""Schemas of log types other than CloudTrail, which give the time and the indicators of an event.

https://docs.panther.com/data-onboarding/custom-log-types/reference
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_panther.content.custom_schemas import check_spec
from local_panther.content.log_types import check_log_types
from local_panther.errors import FieldError, one_line
from local_panther.times import parse_time

UNIX = {"unix": 1.0, "unix_ms": 1e-3, "unix_us": 1e-6, "unix_ns": 1e-9}  # unit in seconds
INDICATORS = {
    "ip": "p_any_ip_addresses",
    "domain": "p_any_domain_names",
    "hostname": "p_any_domain_names",
    "username": "p_any_usernames",
    "email": "p_any_emails",
    "actor_id": "p_any_actor_ids",
    "trace_id": "p_any_trace_ids",
    "aws_arn": "p_any_aws_arns",
    "aws_account_id": "p_any_aws_account_ids",
    "aws_instance_id": "p_any_aws_instance_ids",
    "md5": "p_any_md5_hashes",
    "sha1": "p_any_sha1_hashes",
    "sha256": "p_any_sha256_hashes",
    "mac": "p_any_mac_addresses",
}
FieldSpec = Mapping[str, Any]


@dataclass(frozen=True)
class LogSchema:
    """A log type and the fields of its schema.

    Attributes:
        name: The log type.
        fields: The fields of its schema; empty without a schema.
    """

    name: str
    fields: list[FieldSpec] = field(default_factory=list)

    def time_of(self, event: Mapping[str, Any]) -> float | None:
        """Return when an event happened, in seconds since 1970; None if it does not say.

        An event stored by an instance has the time in p_event_time.
        """
        if isinstance(stored := event.get("p_event_time"), str):
            return parse_time(stored)
        for spec, value in _values(self.fields, event):
            if spec.get("isEventTime"):
                return _time(value, spec)
        return None

    def indicators(self, event: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the `p_any_` fields of an event."""
        found: dict[str, dict[str, None]] = {}
        for spec, value in _values(self.fields, event):
            for name in spec.get("indicators") or ():
                if name in INDICATORS and isinstance(value, str | int) and value != "":
                    found.setdefault(INDICATORS[name], {})[str(value)] = None
        return {name: sorted(values) for name, values in found.items()}


def read_schema(name: str, path: Path | None) -> LogSchema:
    """Return a log type with the schema in a file.

    Args:
        name: The log type.
        path: The file; None if there is none.

    Raises:
        FieldError: The log type is unknown, or the schema is invalid.
    """
    check_log_types([name])
    if path is None:
        return LogSchema(name)
    import yaml

    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        check_spec(name, spec)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, FieldError) as error:
        raise FieldError(f"{path}: {one_line(error)}") from error
    return LogSchema(name, spec["fields"])


def _values(fields: list[FieldSpec], event: Any) -> Iterator[tuple[FieldSpec, Any]]:
    """Yield each field with each of its values, including those inside objects and lists."""
    for spec in fields:
        value = event.get(spec["name"]) if isinstance(event, Mapping) else None
        yield from _typed(spec, value)


def _typed(spec: FieldSpec, value: Any) -> Iterator[tuple[FieldSpec, Any]]:
    if value is None:
        return
    if spec["type"] == "object":
        yield from _values(spec["fields"], value)
    elif spec["type"] == "array" and isinstance(value, list):
        for entry in value:
            yield from _typed(spec["element"], entry)
    else:
        yield spec, value


def _time(value: Any, spec: FieldSpec) -> float | None:
    formats = spec.get("timeFormats") or [spec.get("timeFormat")]
    for form in formats:
        try:
            if form in UNIX:
                return float(value) * UNIX[form]
            if form == "rfc3339":
                if (time := parse_time(str(value))) is not None:
                    return time
            elif isinstance(form, str):
                moment = datetime.strptime(str(value), form)
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                return moment.timestamp()
        except (ValueError, TypeError, OverflowError):
            continue
    return None
