"""The queue of alerts to deliver to a webhook, on disk."""

import threading

from local_panther.instance.alerts.model import WebhookDelivery
from local_panther.instance.store.sqlite import SqliteDatabase

DELIVERIES = """SELECT alert_id, state, attempts, next_attempt, status, message, dispatched
    FROM deliveries"""


class WebhookQueue:
    """The deliveries, done and pending.

    Attributes:
        enabled: True if alerts that are stored from now on are delivered.
        due: Set when a delivery may be due.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        """Use the database of the alerts."""
        self._database = database
        self.enabled = False
        self.due = threading.Event()

    def first(self) -> WebhookDelivery | None:
        """Return the pending delivery that is due first; None if there is none."""
        rows = self._database.rows(
            f"{DELIVERIES} WHERE state = 'pending' ORDER BY next_attempt, alert_id LIMIT 1"
        )
        return WebhookDelivery(*rows[0]) if rows else None

    def get(self, alert_id: str) -> WebhookDelivery | None:
        """Return the delivery of an alert; None if it has none."""
        rows = self._database.rows(f"{DELIVERIES} WHERE alert_id = ?", [alert_id])
        return WebhookDelivery(*rows[0]) if rows else None

    def note(
        self,
        alert_id: str,
        *,
        state: str,
        status: int,
        message: str,
        dispatched: float,
        next_attempt: float,
    ) -> None:
        """Record an attempt to deliver an alert; see `WebhookDelivery`."""
        with self._database.change() as db:
            db.execute(
                "UPDATE deliveries SET state = ?, status = ?, message = ?, dispatched = ?,"
                " next_attempt = ?, attempts = attempts + 1 WHERE alert_id = ?",
                [state, status, message, dispatched, next_attempt, alert_id],
            )
