"""Stores incidents, from which the console builds its pages, in the database of the alerts."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from local_panther.instance.alerts.incident_model import FoundIncident, ListedIncident
from local_panther.instance.store.sqlite import SqliteDatabase
from local_panther.text import without_halves

WORK = ("OPEN", "TRIAGED")  # statuses of unfinished incidents
LISTED = tuple(field.name for field in fields(ListedIncident))
COLUMNS = (*LISTED, "rank", "alerts", "words", "found")
ROW = ", ".join((*LISTED, "rank", "alerts", "status"))
GIVEN = "IN (SELECT value FROM json_each(?))"  # SQLite takes a limited number of parameters
# An alert without an incident, for example of an earlier version, becomes an incident of its own.
# The status of an incident is that of its least finished alert.
SCHEMA = """
CREATE TABLE incidents (
  id TEXT PRIMARY KEY, number INTEGER, rank INTEGER NOT NULL, severity TEXT NOT NULL,
  principal TEXT NOT NULL, who TEXT NOT NULL, headline TEXT NOT NULL, sentence TEXT NOT NULL,
  address TEXT NOT NULL, first REAL NOT NULL, last REAL NOT NULL, tried INTEGER,
  entered INTEGER NOT NULL, alerts INTEGER NOT NULL, words TEXT NOT NULL, found TEXT,
  status TEXT NOT NULL DEFAULT 'OPEN'
);
CREATE INDEX incidents_worst ON incidents (rank, -entered, -coalesce(tried, 0), first, id);
ALTER TABLE alerts ADD COLUMN incident TEXT;
CREATE INDEX alerts_incident ON alerts (incident);
CREATE INDEX alerts_rule ON alerts (rule_id);
CREATE TRIGGER alerts_status AFTER UPDATE OF status, incident ON alerts BEGIN
  UPDATE incidents SET status = (
    SELECT CASE min(instr('OPEN    TRIAGED RESOLVEDCLOSED', status))
      WHEN 1 THEN 'OPEN' WHEN 9 THEN 'TRIAGED' WHEN 17 THEN 'RESOLVED' ELSE 'CLOSED' END
    FROM alerts WHERE incident = new.incident
  ) WHERE id = new.incident;
END
"""
ALONE = """
INSERT OR IGNORE INTO incidents
  (id, rank, severity, principal, who, headline, sentence, address, first, last, entered, alerts,
   words)
  SELECT id, coalesce(nullif(instr('CRITICALHIGH    MEDIUM  LOW     INFO', severity), 0) / 8, 5),
    severity, '', '', title, title, '', first, last, 0, 1, lower(title || ' ' || rule_id)
  FROM alerts WHERE incident IS NULL;
UPDATE alerts SET incident = id WHERE incident IS NULL
"""
ORDER_PARTS = ("rank", "-entered", "-coalesce(tried, 0)", "first", "id")
ORDER = ", ".join(ORDER_PARTS)


@dataclass(frozen=True)
class IncidentRow(ListedIncident):
    """An incident in a list, with its status.

    Attributes:
        rank: The position of its severity, 0 for the worst.
        alerts: Number of its alerts.
        status: The status of its least finished alert.
    """

    rank: int
    alerts: int
    status: str

    @property
    def place(self) -> list[Any]:
        """The position in the order of all incidents, for `IncidentFilter.after`."""
        return [self.rank, -self.entered, -(self.tried or 0), self.first, self.id]


@dataclass(frozen=True)
class IncidentFilter:
    """A filter of incidents. An empty field matches any incident.

    Attributes:
        words: Words that must all appear in the sentence, principal, titles or rules.
        principal: Text that the principal or its description must contain.
        since: Earliest time of the last event, in seconds since 1970; `until` is the latest time
            of the first event.
        after: The position after which a page begins (`IncidentRow.place`). If new incidents are
            stored between two pages, no other incident is repeated or left out.
        before: The position before which a page ends; the incident next to it comes first.
    """

    severities: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    rule_id: str = ""
    principal: str = ""
    words: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    after: Sequence[Any] = ()
    before: Sequence[Any] = ()


class IncidentStore:
    """The store of incidents."""

    def __init__(self, database: SqliteDatabase) -> None:
        """Use the database of the alerts."""
        self._rows = database.rows

    @staticmethod
    def take(
        db: sqlite3.Connection,
        incidents: Iterable[FoundIncident],
        ranks: Mapping[str, int] | None,
    ) -> None:
        """Store the incidents of a replay. Their alerts must be stored before, in the same change.

        Args:
            db: The connection of the change.
            incidents: The incidents that are new or have changed.
            ranks: The number of each incident of the replay, by ID; None to keep the numbers.
        """
        for incident in incidents:
            ids = json.dumps(incident.alert_ids)
            known = f"SELECT title, rule_id FROM alerts WHERE id {GIVEN}"
            alerts = db.execute(known, [ids]).fetchall()
            if not alerts:  # all were passed over, since their records came before the content
                continue
            texts = dict.fromkeys([incident.sentence, incident.principal, *map(" ".join, alerts)])
            places = ", ".join("?" * len(COLUMNS))
            db.execute(
                f"INSERT OR REPLACE INTO incidents ({', '.join(COLUMNS)}) VALUES ({places})",
                _values(incident, " ".join(texts).lower()),
            )
            moved = f"UPDATE alerts SET incident = ? WHERE id {GIVEN}"
            db.execute(moved, [incident.id, ids])
        for statement in ALONE.split(";"):
            db.execute(statement)
        gone = "SELECT 1 FROM alerts WHERE alerts.incident = incidents.id"
        db.execute(f"DELETE FROM incidents WHERE NOT EXISTS ({gone})")
        if ranks is not None:
            db.execute("UPDATE incidents SET number = NULL WHERE number IS NOT NULL")
            pairs = [(number, incident_id) for incident_id, number in ranks.items()]
            db.executemany("UPDATE incidents SET number = ? WHERE id = ?", pairs)

    def find(self, wanted: IncidentFilter, limit: int) -> list[IncidentRow]:
        """Return incidents, the worst first: see `incidents_of`.

        Args:
            wanted: The filter.
            limit: Highest number of incidents to return.
        """
        clause, values = _where(wanted)
        order = ORDER
        if place := wanted.after or wanted.before:
            clause = f"{clause} AND ({ORDER}) {'>' if wanted.after else '<'} (?, ?, ?, ?, ?)"
            values += place
        if wanted.before and not wanted.after:
            order = ", ".join(f"{part} DESC" for part in ORDER_PARTS)
        sql = f"SELECT {ROW} FROM incidents WHERE {clause} ORDER BY {order} LIMIT ?"
        return [IncidentRow(*row) for row in self._rows(sql, [*values, limit])]

    def counts(self, wanted: IncidentFilter) -> dict[str, int]:
        """Return the number of incidents of each severity."""
        clause, values = _where(wanted)
        sql = f"SELECT severity, count(*) FROM incidents WHERE {clause} GROUP BY severity"
        return dict(self._rows(sql, values))

    def of_alert(self, alert_id: str) -> str | None:
        """Return the ID of the incident of an alert; None if the alert does not exist."""
        rows = self._rows("SELECT incident FROM alerts WHERE id = ?", [alert_id])
        return rows[0][0] if rows else None

    def get(self, incident_id: str) -> tuple[IncidentRow, Any] | None:
        """Return an incident and the JSON for `incident_from`; the JSON may be None.

        Return None if the incident does not exist.
        """
        rows = self._rows(f"SELECT {ROW}, found FROM incidents WHERE id = ?", [incident_id])
        if not rows:
            return None
        *row, found = rows[0]
        return IncidentRow(*row), None if found is None else json.loads(found)

    def alert_ids(self, incident_id: str) -> list[str]:
        """Return the IDs of the alerts of an incident, the earliest first."""
        sql = "SELECT id FROM alerts WHERE incident = ? ORDER BY created, id"
        return [alert_id for (alert_id,) in self._rows(sql, [incident_id])]

    def by_number(self, numbers: Iterable[int]) -> list[IncidentRow]:
        """Return the incidents with some numbers in the latest replay."""
        sql = f"SELECT {ROW} FROM incidents WHERE number {GIVEN} ORDER BY number"
        return [IncidentRow(*row) for row in self._rows(sql, [json.dumps(list(numbers))])]

    def rules(self) -> dict[str, int]:
        """Return the number of alerts of each rule."""
        return dict(self._rows("SELECT rule_id, count(*) FROM alerts GROUP BY rule_id ORDER BY 1"))


def _values(incident: FoundIncident, words: str) -> list[Any]:
    plain = incident.as_json() | {"alerts": len(incident.alert_ids), "rank": incident.rank}
    plain |= {"words": words, "found": json.dumps(incident.found)}
    values = [plain[name] for name in COLUMNS]
    return [without_halves(value) if isinstance(value, str) else value for value in values]


def _where(wanted: IncidentFilter) -> tuple[str, list[Any]]:
    conditions, values = ["TRUE"], list[Any]()

    def add(condition: str, *more: Any) -> None:
        conditions.append(condition)
        values.extend(more)

    for column, chosen in (("severity", wanted.severities), ("status", wanted.statuses)):
        if chosen:
            add(f"{column} IN ({', '.join('?' * len(chosen))})", *chosen)
    for word in wanted.words:
        add("instr(words, lower(?)) > 0", word.lower())
    if wanted.principal:
        add("instr(lower(who || ' ' || principal), ?) > 0", wanted.principal.lower())
    if wanted.rule_id:
        add("id IN (SELECT incident FROM alerts WHERE rule_id = ?)", wanted.rule_id)
    if wanted.since is not None:
        add("last >= ?", wanted.since)
    if wanted.until is not None:
        add("first <= ?", wanted.until)
    return " AND ".join(conditions), values
