"""Gives content a clock that shows event time during a replay instead of this machine's time.

An instance runs content minutes after its events, so that "now" in a rule, a helper or the
key-value store is close to the time of the events. In a replay of last month's records, expiry,
"older than" and "in the future" would be wrong by this machine's time.

So in the modules of the content, and in `panther_detection_helpers.caching`, the names `datetime`
and `time` are replaced by stand-ins that read this clock. Everything else in the process (moto,
botocore, our own timeouts) keeps the machine's time. A module that content imports inside a
function is not replaced.
"""

import datetime as datetime_module
import time as time_module
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from types import ModuleType
from typing import Any


class EventClock:
    """A clock that the replay sets.

    Attributes:
        now: Seconds since 1970; this machine's time until it is set.
    """

    def __init__(self) -> None:
        """Start with this machine's time."""
        self._set: float | None = None
        self._stand_ins = _stand_ins(self)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return time_module.time() if self._set is None else self._set

    def reach(self, time: float) -> None:
        """Advance the clock to a time; an earlier one is ignored.

        Args:
            time: Seconds since 1970.
        """
        self._set = time if self._set is None else max(self._set, time)

    @contextmanager
    def at(self, time: float) -> Iterator[None]:
        """Set the clock to any time, also an earlier one, inside the context.

        Args:
            time: Seconds since 1970.
        """
        before, self._set = self._set, time
        try:
            yield
        finally:
            self._set = before

    @contextmanager
    def seen_by(self, modules: Iterable[ModuleType]) -> Iterator[None]:
        """Make modules see this clock inside the context."""
        replaced: list[tuple[dict[str, Any], str, Any]] = []
        for module in modules:
            names = vars(module)
            for name, value in list(names.items()):
                stand_in = self._stand_in(value)
                if stand_in is not None:
                    replaced.append((names, name, value))
                    names[name] = stand_in
        try:
            yield
        finally:
            for names, name, value in replaced:
                names[name] = value

    def _stand_in(self, value: Any) -> Any:
        return next((new for old, new in self._stand_ins if value is old), None)


def _stand_ins(clock: EventClock) -> list[tuple[Any, Any]]:
    """Return the standard library's sources of time, each with its stand-in."""
    moment = _datetime_class(clock)
    day = _date_class(clock)

    def seconds() -> float:
        return clock.now

    def nanoseconds() -> int:
        return int(clock.now * 1e9)

    time_like = _like(time_module, time=seconds, time_ns=nanoseconds)
    datetime_like = _like(datetime_module, datetime=moment, date=day)
    return [
        (time_module, time_like),
        (time_module.time, seconds),
        (time_module.time_ns, nanoseconds),
        (datetime_module, datetime_like),
        (datetime, moment),
        (datetime_module.date, day),
    ]


def _like(module: ModuleType, **changed: Any) -> ModuleType:
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update(vars(module) | changed)
    return copy


class _AlsoPlain(type):
    """A metaclass by which instances of the replaced class are also instances of its stand-in."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


def _datetime_class(clock: EventClock) -> type[datetime]:
    class EventDatetime(datetime, metaclass=_AlsoPlain):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock.now, tz)

        @classmethod
        def utcnow(cls) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock.now, datetime_module.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock.now)

    return EventDatetime


def _date_class(clock: EventClock) -> type[datetime_module.date]:
    class EventDate(datetime_module.date, metaclass=_AlsoPlain):
        @classmethod
        def today(cls) -> datetime_module.date:  # type: ignore[override]
            return datetime.fromtimestamp(clock.now).date()

    return EventDate
