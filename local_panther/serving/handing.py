"""Which alerts and events the instance has got already, so that it gets the others only."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from local_panther.instance.alerts.model import MAX_EVENTS


class Handed:
    """The events of alerts, on disk, and what of them was handed over.

    Results of records that wait are handed over too, and may turn out otherwise: then the alert is
    handed over again.
    """

    def __init__(self, path: Path) -> None:
        """Start with no alerts.

        Args:
            path: A file for the events.
        """
        self._file = path.open("w+b")
        self._places: dict[str, list[int]] = {}  # of the events in the file, by alert
        self._changed: set[str] = set()  # alerts, since the results before
        self._of_this_process: dict[str, list[bytes]] = {}
        self._is_fork = False
        self._counts: dict[str, int] = {}  # of the events that were handed over for good
        self._passed: set[str] = set()  # alerts that the instance may not have taken
        self._is_first = True

    def change(self, alert_id: str) -> None:
        """Take note that an alert has changed."""
        self._changed.add(alert_id)
        if self._is_fork:
            self._of_this_process.setdefault(alert_id, [])

    def add(self, alert_id: str, line: bytes) -> None:
        """Take an event of an alert that has changed; of more than MAX_EVENTS the first are kept.

        Args:
            alert_id: The ID of the alert.
            line: The event, as the line of the results.
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
        """Prepare to be copied in a forked process."""
        self._file.flush()

    def move(self) -> None:
        """Go on in a forked process, whose parent goes on with the file."""
        self._file = Path(self._file.name).open("r+b")  # noqa: SIM115 - as long as the process
        self._is_fork = True

    def is_news(self, alert_id: str) -> bool:
        """Return whether the instance does not have an alert as it is now."""
        return self._is_first or alert_id in self._changed

    def kept(self, alert_id: str) -> int:
        """Return how many events of an alert the instance has."""
        return self._counts.get(alert_id, 0)

    def events(self, alert_id: str) -> Iterator[bytes]:
        """Yield the lines of the other events of an alert."""
        for place in self._places.get(alert_id, [])[self.kept(alert_id) :]:
            self._file.seek(place)
            yield self._file.readline()
        yield from self._of_this_process.get(alert_id, ())

    @property
    def provisional(self) -> list[str]:
        """The alerts that a forked process has changed."""
        return list(self._of_this_process)

    def take_note(
        self, written: Iterable[str], provisional: Iterable[str], *, passed: bool
    ) -> None:
        """Take note of what a forked process has handed over.

        Args:
            written: The alerts.
            provisional: What was `provisional` in it.
            passed: Whether the instance has only taken note of them.
        """
        if passed:
            self._passed.update(written)
        else:
            self._is_first = False
            for alert_id in {*written} - self._passed:
                self._counts[alert_id] = len(self._places.get(alert_id, ()))
        self._changed = set(provisional)
