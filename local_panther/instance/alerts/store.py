"""Stores alerts, their events and comments in SQLite."""

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_panther.instance.alerts.filter import after, where
from local_panther.instance.alerts.incident_model import FoundIncident
from local_panther.instance.alerts.incident_store import ALONE, IncidentStore
from local_panther.instance.alerts.incident_store import SCHEMA as INCIDENTS
from local_panther.instance.alerts.model import (
    NAMES,
    AlertFilter,
    Comment,
    FoundAlert,
    TrackedAlert,
)
from local_panther.instance.alerts.webhook_queue import WebhookQueue
from local_panther.instance.store.sqlite import SqliteDatabase
from local_panther.text import without_halves

DATABASE = "alerts.sqlite"
LISTS = ("context", "destinations", "tags", "log_types")  # kept as JSON
VERSION = 2
FIRST = f"""
CREATE TABLE alerts (
  {", ".join(NAMES)}, status TEXT NOT NULL DEFAULT 'OPEN', assignee TEXT, updated REAL,
  PRIMARY KEY (id)
);
CREATE INDEX alerts_created ON alerts (created, id);
CREATE TABLE events (
  alert_id TEXT REFERENCES alerts ON DELETE CASCADE, position INTEGER, event TEXT NOT NULL,
  PRIMARY KEY (alert_id, position)
);
CREATE TABLE comments (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,
  alert_id TEXT NOT NULL REFERENCES alerts ON DELETE CASCADE,
  body TEXT NOT NULL, format TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL
);
CREATE INDEX comments_alert ON comments (alert_id, number);
CREATE TABLE deliveries (
  alert_id TEXT PRIMARY KEY REFERENCES alerts ON DELETE CASCADE,
  state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt REAL NOT NULL DEFAULT 0, status INTEGER, message TEXT, dispatched REAL
);
CREATE INDEX deliveries_due ON deliveries (next_attempt) WHERE state = 'pending';
CREATE TABLE passed (id TEXT PRIMARY KEY, event_count INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
SCHEMA = f"{FIRST}{INCIDENTS}"
STEPS = {1: f"{INCIDENTS};{ALONE}"}


class UnknownAlertError(LookupError):
    """An unknown alert; the message names it."""


class AlertStore:
    """The alerts of an instance. Any thread may use it; each change is on disk when it returns.

    Attributes:
        webhook_queue: The deliveries of the alerts to a webhook.
        incidents: The incidents into which the alerts are joined.
        changes: Number of changes since the start.
    """

    def __init__(self, folder: Path) -> None:
        """Open the database in a state folder, or create one that only its owner can read.

        Raises:
            ContentError: The file is not a database, or has an unknown version.
            OSError: The file cannot be created or read.
        """
        self._database = SqliteDatabase(folder / DATABASE, SCHEMA, VERSION, STEPS)
        self._rows = self._database.rows
        self.webhook_queue = WebhookQueue(self._database)
        self.incidents = IncidentStore(self._database)
        self.changes = 0

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._database.change() as db:
            yield db
        self.changes += 1

    def take(
        self,
        alerts: Iterable[FoundAlert],
        events: Iterable[tuple[str, str]],
        facts: dict[str, Any],
        kept_events: Mapping[str, int] | None = None,
        incidents: Iterable[FoundIncident] = (),
        ranks: Mapping[str, int] | None = None,
    ) -> int:
        """Store the results of a replay in one transaction.

        A known alert keeps its status, assignee and comments. An alert that was passed over is
        stored only if it has gained events.

        Args:
            alerts: The alerts, new and known.
            events: Pairs of an alert's ID and the JSON of one of its events, in order.
            facts: Values to store by name; see `fact`.
            kept_events: By the ID of an alert, how many of its stored events stay, followed by
                those in `events`. The stored events of other alerts are replaced.
            incidents: The incidents that are new or have changed.
            ranks: See `IncidentStore.take`.

        Returns:
            The number of new alerts.

        Raises:
            ValueError: An alert has fewer stored events than it should keep; nothing has changed.
        """
        kept_events = kept_events or {}
        marks = ", ".join("?" * len(NAMES))
        changes = ", ".join(f"{name} = excluded.{name}" for name in NAMES[1:])
        know = "SELECT 1 FROM alerts WHERE id = ?"
        passed = "SELECT 1 FROM passed WHERE id = ? AND event_count >= ?"
        upsert = f"""INSERT INTO alerts ({", ".join(NAMES)}) VALUES ({marks})
            ON CONFLICT (id) DO UPDATE SET {changes}"""
        positions: dict[str, int] = {}
        taken = set()
        with self._change() as db:
            (before,) = db.execute("SELECT count(*) FROM alerts").fetchone()
            for alert in alerts:
                is_known = db.execute(know, [alert.id]).fetchone()
                if not is_known and db.execute(passed, [alert.id, alert.event_count]).fetchone():
                    continue
                taken.add(alert.id)
                db.execute(upsert, _columns(alert))
                kept = kept_events.get(alert.id, 0)
                self._cut_events(db, alert.id, kept)
                positions[alert.id] = kept - 1
                if self.webhook_queue.enabled and not is_known and not alert.suppressed:
                    db.execute("INSERT INTO deliveries (alert_id) VALUES (?)", [alert.id])
            for alert_id, event in events:
                if alert_id not in taken:
                    continue
                positions[alert_id] += 1
                position = positions[alert_id]
                db.execute("INSERT INTO events VALUES (?, ?, ?)", [alert_id, position, event])
            self.incidents.take(db, incidents, ranks)
            self._set_facts(db, facts)
            (count,) = db.execute("SELECT count(*) FROM alerts").fetchone()
        self.webhook_queue.due.set()
        return int(count - before)

    @staticmethod
    def _cut_events(db: sqlite3.Connection, alert_id: str, kept: int) -> None:
        db.execute("DELETE FROM events WHERE alert_id = ? AND position >= ?", [alert_id, kept])
        found = db.execute("SELECT count(*) FROM events WHERE alert_id = ?", [alert_id]).fetchone()
        if found[0] != kept:
            raise ValueError(f"alert {alert_id} has {found[0]} of the {kept} events that it keeps")

    def pass_over(self, alerts: Iterable[FoundAlert]) -> None:
        """Replace the list of alerts to pass over: those of earlier records only."""
        rows = [(alert.id, alert.event_count) for alert in alerts]
        with self._change() as db:
            db.execute("DELETE FROM passed")
            db.executemany("INSERT OR REPLACE INTO passed VALUES (?, ?)", rows)

    def find(self, wanted: AlertFilter, limit: int, cursor: str = "") -> list[TrackedAlert]:
        """Return alerts in order of creation.

        Args:
            wanted: The filter.
            limit: Highest number of alerts to return.
            cursor: The ID of the last alert of the previous page; "" for the first page.

        Raises:
            UnknownAlertError: The alert of the cursor does not exist.
        """
        clause, values = where(wanted)
        if cursor:
            last = self.get(cursor)
            clause, values = after(clause, values, last, descending=wanted.descending)
        direction = "DESC" if wanted.descending else "ASC"
        rows = self._rows(
            f"{SELECT} WHERE {clause} ORDER BY created {direction}, id {direction} LIMIT ?",
            [*values, limit],
        )
        return [_kept(row) for row in rows]

    def get(self, alert_id: str) -> TrackedAlert:
        """Return an alert.

        Raises:
            UnknownAlertError: It does not exist.
        """
        rows = self._rows(f"{SELECT} WHERE id = ?", [alert_id])
        if not rows:
            raise UnknownAlertError(f"{alert_id}: no such alert")
        return _kept(rows[0])

    def update(
        self, ids: Sequence[str], *, status: str | None = None, assignee: str | None = None
    ) -> None:
        """Change the status or assignee of alerts, of all or of none.

        Args:
            ids: IDs of the alerts.
            status: The new status; None to keep it.
            assignee: The ID of a user, "" for nobody; None to keep the assignee.

        Raises:
            UnknownAlertError: One of them does not exist; nothing has changed.
        """
        with self._change() as db:
            for alert_id in ids:
                done = db.execute(
                    """UPDATE alerts SET updated = ?, status = coalesce(?, status),
                    assignee = CASE WHEN ? IS NULL THEN assignee ELSE nullif(?, '') END
                    WHERE id = ?""",
                    [time.time(), status, assignee, assignee, alert_id],
                )
                if not done.rowcount:
                    raise UnknownAlertError(f"{alert_id}: no such alert")

    def events(self, alert_id: str, start: int, limit: int) -> list[Any]:
        """Return events of an alert, from a position onwards.

        Raises:
            UnknownAlertError: There is no such alert.
        """
        self.get(alert_id)
        rows = self._rows(
            "SELECT event FROM events WHERE alert_id = ? AND position >= ?"
            " ORDER BY position LIMIT ?",
            [alert_id, start, limit],
        )
        return [json.loads(event) for (event,) in rows]

    def comment(self, alert_id: str, body: str, form: str) -> Comment:
        """Add a comment.

        Raises:
            UnknownAlertError: There is no such alert.
        """
        self.get(alert_id)
        made = Comment(str(uuid.uuid4()), alert_id, body, form, now := time.time(), now)
        with self._change() as db:
            db.execute(
                "INSERT INTO comments (id, alert_id, body, format, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [made.id, made.alert_id, made.body, made.format, made.created, made.updated],
            )
        return made

    def edit_comment(self, comment_id: str, body: str, form: str) -> Comment | None:
        """Change a comment and return it; return None if it does not exist."""
        with self._change() as db:
            db.execute(
                "UPDATE comments SET body = ?, format = ?, updated = ? WHERE id = ?",
                [body, form, time.time(), comment_id],
            )
        return self.get_comment(comment_id)

    def get_comment(self, comment_id: str) -> Comment | None:
        """Return a comment; None if it does not exist."""
        found = [Comment(*row) for row in self._rows(f"{COMMENTS} WHERE id = ?", [comment_id])]
        return found[0] if found else None

    def comments(self, alert_id: str, after_number: int, limit: int) -> list[Comment]:
        """Return the comments on an alert that follow a number, oldest first."""
        rows = self._rows(
            f"{COMMENTS} WHERE alert_id = ? AND number > ? ORDER BY number LIMIT ?",
            [alert_id, after_number, limit],
        )
        return [Comment(*row) for row in rows]

    def fact(self, name: str) -> Any:
        """Return the value stored under a name; None if there is none."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", [name])
        return json.loads(rows[0][0]) if rows else None

    def facts(self, prefix: str) -> list[Any]:
        """Return the values whose names have a prefix, in order of the names."""
        rows = self._rows(
            "SELECT value FROM facts WHERE substr(name, 1, ?) = ? ORDER BY name",
            [len(prefix), prefix],
        )
        return [json.loads(value) for (value,) in rows]

    def set_fact(self, name: str, value: Any) -> None:
        """Store a value under a name."""
        with self._change() as db:
            self._set_facts(db, {name: value})

    @staticmethod
    def _set_facts(db: sqlite3.Connection, facts: dict[str, Any]) -> None:
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)


SELECT = f"SELECT {', '.join(NAMES)}, status, assignee, updated FROM alerts"
COMMENTS = "SELECT id, alert_id, body, format, created, updated, number FROM comments"


def _columns(alert: FoundAlert) -> list[Any]:
    """Return the values of an alert for SQLite, in the order of NAMES."""
    plain = alert.as_json()
    values = plain | {name: json.dumps(plain[name]) for name in LISTS}
    return [without_halves(v) if isinstance(v, str) else v for v in values.values()]


def _kept(row: tuple[Any, ...]) -> TrackedAlert:
    *found, status, assignee, updated = row
    plain = {
        name: json.loads(value) if name in LISTS else value
        for name, value in zip(NAMES, found, strict=True)
    }
    plain["suppressed"] = bool(plain["suppressed"])
    return TrackedAlert(FoundAlert.from_json(plain), status, assignee, updated)
