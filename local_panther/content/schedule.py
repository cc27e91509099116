"""When correlation rules and scheduled queries run, on the clock of event time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from local_panther.errors import FieldError

MIN_RATE_MINUTES = 2
CRON_FIELDS = 5


@dataclass(frozen=True)
class Schedule:
    """Runs every so many minutes, or by a cron expression in UTC.

    An instance does not document at which minutes a rate runs; local runs are at multiples of the
    rate since 1970 (low confidence).
    """

    rate_seconds: int = 0  # 0 if there is a cron expression
    cron: str = ""

    def next_run(self, time: float) -> float:
        """Return the first run at or after a time, both in seconds since 1970."""
        if self.rate_seconds:
            return math.ceil(time / self.rate_seconds) * self.rate_seconds
        # CronSim returns the runs after a moment; a run at the moment itself counts too.
        before = datetime.fromtimestamp(math.ceil(time), UTC) - timedelta(seconds=1)
        return next(CronSim(self.cron, before)).timestamp()

    def last_run(self, time: float) -> float:
        """Return the last run at or before a time, both in seconds since 1970."""
        if self.rate_seconds:
            return math.floor(time / self.rate_seconds) * self.rate_seconds
        after = datetime.fromtimestamp(math.floor(time), UTC) + timedelta(seconds=1)
        return next(CronSim(self.cron, after, reverse=True)).timestamp()


def parse_schedule(entry: Any, where: str) -> Schedule:
    """Read a `Schedule`.

    Raises:
        FieldError: It has neither a rate nor a cron expression, or an invalid one.
    """
    if not isinstance(entry, Mapping):
        raise FieldError(f"{where}: is missing")
    rate, cron, timeout = (
        entry.get(key) for key in ("RateMinutes", "CronExpression", "TimeoutMinutes")
    )
    if (rate is None) == (cron is None):
        raise FieldError(f"{where}: needs either RateMinutes or CronExpression")
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 1:
        raise FieldError(f"{where}.TimeoutMinutes: {timeout!r} is not a number of minutes")
    if cron is not None:
        return Schedule(cron=_checked_cron(cron, where))
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < MIN_RATE_MINUTES:
        raise FieldError(
            f"{where}.RateMinutes: {rate!r} is not a number of {MIN_RATE_MINUTES} or more"
        )
    if timeout > rate:
        raise FieldError(f"{where}.TimeoutMinutes: {timeout} is more than RateMinutes {rate}")
    return Schedule(rate_seconds=rate * 60)


def _checked_cron(cron: Any, where: str) -> str:
    """Return a cron expression of five fields; six begin with seconds, which no schedule has."""
    try:
        next(CronSim(str(cron), datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise FieldError(f"{where}.CronExpression: {cron!r} is not a schedule: {error}") from error
    if len(str(cron).split()) != CRON_FIELDS:
        raise FieldError(f"{where}.CronExpression: {cron!r} does not have five fields")
    return str(cron)
