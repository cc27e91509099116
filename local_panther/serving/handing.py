"""Tracks which alerts and events the instance has, so that it only gets the others."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from local_panther.instance.alerts.model import MAX_EVENTS


class Handed:
    """The events of alerts, on disk, and which of them the instance has.

    The results of waiting records are provisional: they are handed over, and handed over again if
    they change.
    """

    def __init__(self, path: Path) -> None:
        """Start with no alerts.

        Args:
            path: The file for the events.
        """
        self._file = path.open("w+b")
        self._places: dict[str, list[int]] = {}  # positions of the events in the file, by alert
        self._changed: set[str] = set()  # alerts, since the previous results
        self._of_this_process: dict[str, list[bytes]] = {}
        self._is_fork = False
        self._counts: dict[str, int] = {}  # of events that were handed over and are not provisional
        self._passed: set[str] = set()  # alerts that the instance may have passed over
        self._is_first = True

    def change(self, alert_id: str) -> None:
        """Record that an alert has changed."""
        self._changed.add(alert_id)
        if self._is_fork:
            self._of_this_process.setdefault(alert_id, [])

    def add(self, alert_id: str, line: bytes) -> None:
        """Add an event of a changed alert, up to MAX_EVENTS events.

        Args:
            alert_id: The ID of the alert.
            line: The line of the results with the event.
        """
        places = self._places.get(alert_id, ())
        new = self._of_this_process.get(alert_id, [])
        if len(places) + len(new) >= MAX_EVENTS:
            return
        if self._is_fork:
            new.append(line)
            return
        self._places.setdefault(alert_id, []).append(self._file.seek(0, 2))
        self._file.write(line)

    def rest(self) -> None:
        """Prepare for a fork."""
        self._file.flush()

    def move(self) -> None:
        """Continue in a forked process, while its parent continues with the file."""
        self._file = Path(self._file.name).open("r+b")  # noqa: SIM115 - open until the process exits
        self._is_fork = True

    def is_news(self, alert_id: str) -> bool:
        """Return whether an alert is new to the instance or has changed."""
        return self._is_first or alert_id in self._changed

    def kept(self, alert_id: str) -> int:
        """Return how many events of an alert the instance has."""
        return self._counts.get(alert_id, 0)

    def events(self, alert_id: str) -> Iterator[bytes]:
        """Yield the lines of those events of an alert that the instance does not have."""
        for place in self._places.get(alert_id, [])[self.kept(alert_id) :]:
            self._file.seek(place)
            yield self._file.readline()
        yield from self._of_this_process.get(alert_id, ())

    @property
    def provisional(self) -> list[str]:
        """IDs of the alerts that a forked process has changed."""
        return list(self._of_this_process)

    def take_note(
        self, written: Iterable[str], provisional: Iterable[str], *, passed: bool
    ) -> None:
        """Record what a forked process has handed over.

        Args:
            written: IDs of the alerts.
            provisional: The value of `provisional` in that process.
            passed: True if the instance only passes the alerts over.
        """
        if passed:
            self._passed.update(written)
        else:
            self._is_first = False
            for alert_id in {*written} - self._passed:
                self._counts[alert_id] = len(self._places.get(alert_id, ()))
        self._changed = set(provisional)
