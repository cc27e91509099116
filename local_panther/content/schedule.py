"""Schedules of correlation rules and scheduled queries, on the clock of event time."""

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
    """A schedule: a fixed rate, or a cron expression in UTC.

    Panther does not document at which minutes a rate runs; here runs are at multiples of the rate
    since 1970 (low confidence).

    Attributes:
        rate_seconds: Seconds between runs; 0 if there is a cron expression.
        cron: The cron expression; "" if there is a rate.
    """

    rate_seconds: int = 0
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
    """Parse a `Schedule`.

    Raises:
        FieldError: It has neither a rate nor a cron expression, or an invalid one.
    """
    if not isinstance(entry, Mapping):
        raise FieldError(f"{where}: needs RateMinutes or CronExpression, and TimeoutMinutes")
    rate, cron, timeout = (
        entry.get(key) for key in ("RateMinutes", "CronExpression", "TimeoutMinutes")
    )
    if (rate is None) == (cron is None):
        raise FieldError(f"{where}: needs either RateMinutes or CronExpression")
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 1:
        raise FieldError(
            f"{where}.TimeoutMinutes: must be a whole number of 1 or more, not {timeout!r}"
        )
    if cron is not None:
        return Schedule(cron=_checked_cron(cron, where))
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < MIN_RATE_MINUTES:
        raise FieldError(
            f"{where}.RateMinutes: must be a whole number of {MIN_RATE_MINUTES} or more, "
            f"not {rate!r}"
        )
    if timeout > rate:
        raise FieldError(f"{where}.TimeoutMinutes: {timeout} is more than RateMinutes {rate}")
    return Schedule(rate_seconds=rate * 60)


def _checked_cron(cron: Any, where: str) -> str:
    """Return a valid cron expression. It must have five fields: a sixth would be seconds."""
    try:
        next(CronSim(str(cron), datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        reason = f"{cron!r} is not a valid cron expression: {error}"
        raise FieldError(f"{where}.CronExpression: {reason}") from error
    if len(str(cron).split()) != CRON_FIELDS:
        raise FieldError(
            f"{where}.CronExpression: {cron!r} must have five fields, from minutes to weekdays"
        )
    return str(cron)
