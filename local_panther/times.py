"""Reads and writes times, which are seconds since 1970 in the code."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3600  # seconds
DELIVERY_DELAY = 210.0  # seconds between an event and its arrival: 3 to 4 minutes on average
UNITS = (("d", 86_400), ("h", HOUR), ("min", 60), ("s", 1))


@dataclass(frozen=True)
class Period:
    """A period of time, in seconds since 1970: `start` is included, `end` is not."""

    start: float = -math.inf
    end: float = math.inf

    def __contains__(self, time: object) -> bool:
        """Return whether a time, in seconds since 1970, is in the period."""
        return isinstance(time, (int, float)) and self.start <= time < self.end


ALWAYS = Period()


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 time in seconds since 1970, UTC if it has no zone.

    Returns None for anything else; a date alone is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() if len(text) > len("2026-01-05") else None
    except (ValueError, OverflowError):
        return None


def iso(time: float) -> str:
    """Write seconds since 1970 as ISO 8601 in UTC: 2026-01-05T10:00:00Z."""
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def event_time(time: float) -> str:
    """Write seconds since 1970 as CloudTrail's eventTime, in whole seconds."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sql_timestamp(time: float) -> str:
    """Write seconds since 1970 as an SQL timestamp without a zone, in UTC."""
    return (EPOCH + timedelta(seconds=time)).strftime("%Y-%m-%d %H:%M:%S.%f")


def clock(time: float, form: str) -> str:
    """Write seconds since 1970 in a format of `strftime`, in UTC."""
    return (EPOCH + timedelta(seconds=time)).strftime(form)


def span(seconds: float) -> str:
    """Write a length of time in its two largest units: "12 min 5 s"."""
    left = round(seconds)
    parts: list[str] = []
    for name, size in UNITS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts) or "0 s"
