"""The files in which a replay leaves its results for the instance."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_panther.instance.alerts.incident_model import FoundIncident
from local_panther.instance.alerts.model import FoundAlert


@dataclass(frozen=True)
class Results:
    """The files of a replay.

    Attributes:
        folder: The folder of the files.
    """

    folder: Path

    @property
    def databases(self) -> Path:
        """The folder with the databases of the lake."""
        return self.folder / "lake"

    @property
    def alerts(self) -> Path:
        """The alerts that are new or changed since the previous results, one a line."""
        return self.folder / "alerts.ndjson"

    @property
    def events(self) -> Path:
        """Pairs of the ID of one of these alerts and one of its events, one pair a line."""
        return self.folder / "events.ndjson"

    @property
    def incidents(self) -> Path:
        """The ranks of all incidents, and then the new and changed incidents, one a line."""
        return self.folder / "incidents.ndjson"

    @property
    def queries(self) -> Path:
        """The SQL of the queries that runbooks name."""
        return self.folder / "queries.json"

    @property
    def summary(self) -> Path:
        """The counts and problems of the replay. This file is written last."""
        return self.folder / "summary.json"

    @property
    def handed(self) -> Path:
        """The alerts that were written, and how many events of each the instance has."""
        return self.folder / "handed.json"

    def read_summary(self) -> dict[str, Any]:
        """Return the summary.

        Raises:
            OSError: The replay did not write it.
            ValueError: It is not JSON.
        """
        return dict(json.loads(self.summary.read_text(encoding="utf-8")))

    def read_alerts(self) -> Iterator[FoundAlert]:
        """Yield the alerts.

        Raises:
            OSError: They cannot be read.
            ValueError, TypeError: A line is not an alert.
        """
        with self.alerts.open(encoding="utf-8") as file:
            for line in file:
                yield FoundAlert.from_json(json.loads(line))

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

    def read_ranks(self) -> dict[str, int]:
        """Return the number of each incident, by its ID.

        Raises:
            OSError: They cannot be read.
            ValueError, TypeError: They are not numbers.
        """
        with self.incidents.open(encoding="utf-8") as file:
            ranks = json.loads(file.readline())
        return {str(incident_id): int(number) for incident_id, number in ranks.items()}

    def read_incidents(self) -> Iterator[FoundIncident]:
        """Yield the new and changed incidents.

        Raises:
            OSError: They cannot be read.
            LookupError, TypeError, ValueError: A line is not an incident.
        """
        with self.incidents.open(encoding="utf-8") as file:
            file.readline()
            for line in file:
                yield FoundIncident.from_json(json.loads(line))

    def read_queries(self) -> dict[str, str]:
        """Return the SQL of the queries that runbooks name, by name.

        Raises:
            OSError: The file cannot be read.
            ValueError, TypeError: The file has another form.
        """
        found = json.loads(self.queries.read_text(encoding="utf-8"))
        return {str(name): str(sql) for name, sql in found.items()}

    def read_kept_events(self) -> dict[str, int]:
        """Return how many events of each alert the instance has, which are not written again.

        Raises:
            OSError: They cannot be read.
            ValueError, TypeError: They are not counts.
        """
        handed = json.loads(self.handed.read_text(encoding="utf-8"))
        return {str(alert_id): int(count) for alert_id, count in handed["kept"].items()}
