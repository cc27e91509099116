"""Reads eventTime in many formats, and checks the eventTimes of many records at once."""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

from local_panther.times import parse_time

# CloudTrail began in 2013. Outside these years, windows and schedules cannot be computed.
EARLIEST = parse_time("1971-01-01T00:00:00Z") or 0.0
LATEST = parse_time("2100-01-01T00:00:00Z") or 0.0

MAX_CACHED = 10_000

# The format of CloudTrail, which also sorts as text. Whether a day exists is checked separately,
# once for each distinct day.
USUAL = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ"
ALL_USUAL = re.compile(rf"(?:{USUAL} )*", re.ASCII)
DAY = slice(0, len("2026-01-05"))
MINUTE = slice(0, len("2026-01-05T10:00:"))
SECOND = slice(len("2026-01-05T10:00:"), len("2026-01-05T10:00:00"))

# The units in which databases count time, in parts of a second. No number is a time within the
# years above in two of them.
UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]\+?\d+)?", re.ASCII)
MICROSOFT = re.compile(r"/Date\((\d+)\)/")  # PowerShell 5
ZONE = re.compile(r"(.*\d)\s+(?:[+-]\d{4}\s+)?([A-Za-z][\w+/-]*)$")  # Athena, BigQuery, Go
ZONES_OF_UTC = {"UTC", "GMT", "Z", "Etc/UTC"}
CONSOLE = re.compile(r"(\w+ \d+, \d{4}, \d\d:\d\d:\d\d) \(UTC([+-]\d\d):(\d\d)\)")
SERVER_LOG = re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}")


class EventTimes:
    """A reader of eventTimes with a cache, as most of them are repeated."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._known: dict[str, float | None] = {}

    def read(self, text: str) -> float | None:
        """Return an eventTime in seconds since 1970; None if it is not a time."""
        if text in self._known:
            return self._known[text]
        time = time_of(text)
        if len(self._known) > MAX_CACHED:
            self._known.clear()
        self._known[text] = time
        return time

    def read_usual(self, text: str) -> float | None:
        """Return a time in the format of CloudTrail in seconds since 1970; None for no such day.

        Most times differ, but not in their minutes.
        """
        minute = self.read(f"{text[MINUTE]}00Z")
        return None if minute is None else minute + int(text[SECOND])

    def ends(self, texts: Collection[str]) -> tuple[float, float] | None:
        """Return the first and last of some eventTimes; None if any is not a time."""
        if ALL_USUAL.fullmatch(" ".join([*texts, ""])):
            ends = (min(texts), max(texts))
            is_one_day = ends[0][DAY] == ends[1][DAY]
            days = {text[DAY] for text in (ends if is_one_day else texts)}
            if any(self.read(f"{day}T00:00:00Z") is None for day in days):
                return None
            texts = ends
        times = [self.read(text) for text in texts]
        valid = [time for time in times if time is not None]
        return (min(valid), max(valid)) if len(valid) == len(times) > 0 else None


def time_of(value: object) -> float | None:
    """Return a time in the format of any query engine, in seconds since 1970, UTC without a zone.

    Ambiguous formats such as 01/05/2026 are not accepted: read wrongly, they would move a record by
    months.

    Returns:
        The time; None for anything else, and for a time before 1971 or after 2099.
    """
    if isinstance(value, dict):
        value = value.get("$date", value.get("$numberLong"))  # MongoDB's exports
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _time_of_number(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if NUMBER.fullmatch(text):
        return _time_of_number(float(text))
    time = parse_time(text)
    for read in SPELLINGS:
        if time is not None:
            break
        try:
            time = read(text)
        except (ValueError, LookupError, OverflowError, TypeError, OSError):
            continue
    return time if time is not None and EARLIEST <= time < LATEST else None


def _time_of_number(number: float) -> float | None:
    # This also excludes NaN and infinity.
    if not EARLIEST <= number < LATEST * UNITS[-1]:
        return None
    times = (number / unit for unit in UNITS)
    return next((time for time in times if EARLIEST <= time < LATEST), None)


def _microsoft(text: str) -> float | None:
    found = MICROSOFT.fullmatch(text)
    return int(found[1]) / 1000 if found else None


def _with_zone(text: str) -> float | None:
    """Parse `2026-01-05 10:01:00.000 UTC` and `… America/New_York`."""
    found = ZONE.fullmatch(text)
    if not found:
        return None
    moment = datetime.fromisoformat(found[1])
    if moment.tzinfo is None:
        zone = UTC if found[2] in ZONES_OF_UTC else ZoneInfo(found[2])
        moment = moment.replace(tzinfo=zone)
    return moment.timestamp()


def _console(text: str) -> float | None:
    """Parse the console's format: `January 05, 2026, 10:01:00 (UTC+01:00)`."""
    found = CONSOLE.fullmatch(text)
    if not found:
        return None
    zone = timezone(timedelta(hours=int(found[2]), minutes=int(f"{found[2][0]}{found[3]}")))
    return datetime.strptime(found[1], "%B %d, %Y, %H:%M:%S").replace(tzinfo=zone).timestamp()


def _server_log(text: str) -> float | None:
    if not SERVER_LOG.fullmatch(text):
        return None
    return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp()


def _mail(text: str) -> float | None:
    """Parse `Mon, 05 Jan 2026 10:01:00 +0000`, Snowflake's format of a time with a zone."""
    moment = parsedate_to_datetime(text)
    return None if moment.tzinfo is None else moment.timestamp()


SPELLINGS: tuple[Callable[[str], float | None], ...] = (
    _microsoft,
    _with_zone,
    _console,
    _server_log,
    _mail,
)
