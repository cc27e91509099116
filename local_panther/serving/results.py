"""What a replay leaves in a folder for the instance."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_panther.instance.alert_model import StoredAlert


@dataclass(frozen=True)
class Results:
    """The files of a replay.

    Attributes:
        folder: Where they are.
    """

    folder: Path

    @property
    def paths(self) -> Path:
        """The paths, and which files in them to read (None for all); there before the replay."""
        return self.folder / "paths.json"

    @property
    def databases(self) -> Path:
        """A folder with the databases of the lake."""
        return self.folder / "lake"

    @property
    def signals(self) -> Path:
        """Matches of rules, one a line, as `store_findings` reads them."""
        return self.folder / "signals.ndjson"

    @property
    def matches(self) -> Path:
        """Those of them that are part of an alert."""
        return self.folder / "matches.ndjson"

    @property
    def events(self) -> Path:
        """The ID of an alert and an event of it, one pair a line."""
        return self.folder / "events.ndjson"

    @property
    def alerts(self) -> Path:
        """The alerts, one a line."""
        return self.folder / "alerts.ndjson"

    @property
    def summary(self) -> Path:
        """What was read and what went wrong; it is written last."""
        return self.folder / "summary.json"

    def read_summary(self) -> dict[str, Any]:
        """Return the summary.

        Raises:
            OSError: The replay did not get that far.
            ValueError: It is not JSON.
        """
        return dict(json.loads(self.summary.read_text(encoding="utf-8")))

    def read_alerts(self) -> Iterator[StoredAlert]:
        """Yield the alerts.

        Raises:
            OSError: They cannot be read.
            ValueError, TypeError: A line is not an alert.
        """
        with self.alerts.open(encoding="utf-8") as file:
            for line in file:
                yield StoredAlert.from_json(json.loads(line))

    def read_events(self) -> Iterator[tuple[str, str]]:
        """Yield the ID of an alert and the JSON of an event, in order.

        Raises:
            OSError: They cannot be read.
            ValueError: A line is not such a pair.
        """
        with self.events.open(encoding="utf-8") as file:
            for line in file:
                alert_id, event = json.loads(line)
                yield str(alert_id), json.dumps(event)
