"""eventTime: reads one, or checks those of many records at once."""

import re
from collections.abc import Collection

from local_panther.times import parse_time

# CloudTrail began in 2013. Beyond these years no window or schedule can be worked out.
EARLIEST = parse_time("1971-01-01T00:00:00Z") or 0.0
LATEST = parse_time("2100-01-01T00:00:00Z") or 0.0

MAX_CACHED = 10_000

# As CloudTrail writes it; as texts such times are in order too. Whether there is such a day is
# looked at for each day by itself, as few are distinct.
USUAL = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ"
ALL_USUAL = re.compile(rf"(?:{USUAL} )*", re.ASCII)
DAY = slice(0, len("2026-01-05"))


class EventTimes:
    """Reads eventTimes, and remembers them, as most come again."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[str, float | None] = {}

    def read(self, text: str) -> float | None:
        """Return an eventTime in seconds since 1970; None if it is not a time."""
        if text in self._known:
            return self._known[text]
        time = parse_time(text)
        if time is not None and not EARLIEST <= time < LATEST:
            time = None
        if len(self._known) > MAX_CACHED:
            self._known.clear()
        self._known[text] = time
        return time

    def ends(self, texts: Collection[str]) -> tuple[float, float] | None:
        """Return the first and the last of some eventTimes; None if any of them is not a time."""
        if ALL_USUAL.fullmatch("".join([f"{text} " for text in texts])):
            days = {text[DAY] for text in texts}
            if any(self.read(f"{day}T00:00:00Z") is None for day in days):
                return None
            texts = (min(texts), max(texts))
        times = [self.read(text) for text in texts]
        valid = [time for time in times if time is not None]
        return (min(valid), max(valid)) if len(valid) == len(times) > 0 else None
