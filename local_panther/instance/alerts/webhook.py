"""Delivers alerts to a webhook, in the shape of Panther's own webhook destination.

Each alert is delivered at least once. A delivery is done when the webhook has answered with a 2xx
status; that is written to disk before the next delivery. A server that is killed in between
delivers one alert twice.

https://docs.panther.com/alerts/destinations/custom_webhook
"""

import hashlib
import hmac
import http.client
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from local_panther.instance.alerts.exchange import Exchange
from local_panther.instance.alerts.model import DETECTION_ERROR, TrackedAlert
from local_panther.instance.alerts.store import AlertStore
from local_panther.instance.store.library import Library
from local_panther.json_text import json_text
from local_panther.times import iso

ANSWER_SECONDS = 10.0  # for the whole exchange
END_SECONDS = 5.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds before a further attempt; doubled each time
MAX_ATTEMPTS = 11  # an instance of Panther retries ten times
MAX_ANSWER_BYTES = 1000  # kept of the webhook's answer
IDLE_SECONDS = 5.0
SIGNATURE, TIME = "X-Local-Panther-Signature", "X-Local-Panther-Timestamp"


@dataclass(frozen=True)
class Webhook:
    """The webhook to which alerts are sent.

    Attributes:
        url: Its address; requests never go elsewhere, whatever it answers.
        secret: The key of the signature.
    """

    url: str
    secret: bytes

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: It is not an HTTP or HTTPS address.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is not an address that begins with http:// or https://")

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """Return the headers of a signed request.

        Args:
            body: The body of the request.
            now: The time, in seconds since 1970.
        """
        moment = str(int(now))
        return {
            "Content-Type": "application/json",
            TIME: moment,
            SIGNATURE: signature(self.secret, moment, body),
        }


def signature(secret: bytes, moment: str, body: bytes) -> str:
    """Return the signature of a body, as it is in the header.

    Args:
        secret: The key.
        moment: The value of the header with the time.
        body: The body of the request.
    """
    digest = hmac.new(secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"


class WebhookSender:
    """A thread that delivers alerts as they are found, while its context lasts."""

    def __init__(
        self,
        alerts: AlertStore,
        library: Library,
        webhook: Webhook,
        link: str,
        tell: Callable[[str], None] = logging.warning,
    ) -> None:
        """Prepare the deliveries.

        Args:
            alerts: The alerts, with the queue of those to deliver.
            library: The content, which knows the version of the rule of an alert.
            webhook: The webhook.
            link: The address of the server, with which links to incidents begin.
            tell: Called with a line when deliveries begin to fail, succeed again or are given up.
        """
        self._alerts = alerts
        self._library = library
        self._queue = alerts.webhook_queue
        self._webhook = webhook
        self._link = link
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tell = tell
        self._fails = False
        self._lock = threading.Lock()
        self._exchange: Exchange | None = None  # the latest

    def __enter__(self) -> "WebhookSender":
        """Start the thread."""
        self._queue.enabled = True
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop the thread; the next start delivers the rest."""
        self._stopping.set()
        self._queue.due.set()
        with self._lock:
            if self._exchange:
                self._exchange.stop()
        self._thread.join(END_SECONDS)  # looking up a host name may take longer

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._queue.due.clear()
            try:
                wait = self._deliver_what_is_due()
            except Exception:
                logging.exception("deliveries")
                wait = IDLE_SECONDS
            self._queue.due.wait(wait)

    def _deliver_what_is_due(self) -> float | None:
        """Deliver the alerts that are due; return the seconds until the next one, if any."""
        while not self._stopping.is_set():
            due = self._queue.first()
            if due is None:
                return None
            wait = due.next_attempt - time.time()
            if 0 < wait <= LONGEST_WAIT:  # a longer wait comes from a clock that was ahead
                return wait
            self._deliver(due.alert_id, due.attempts + 1)
        return None

    def _deliver(self, alert_id: str, attempt: int) -> None:
        body = json_text(self._payload(self._alerts.get(alert_id))).encode()
        now = time.time()
        status, message = self._exchanged(body, now)
        if self._stopping.is_set() and not status:
            return  # tried again after the next start
        done = 200 <= status < 300
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
        self._queue.note(
            alert_id,
            status=status,
            message=message,
            dispatched=now,
            state="done" if done else "failed" if attempt >= MAX_ATTEMPTS else "pending",
            next_attempt=now + wait,
        )
        self._tell_of(alert_id, message, done=done, is_last=attempt >= MAX_ATTEMPTS)

    def _exchanged(self, body: bytes, now: float) -> tuple[int, str]:
        """Send a request; return the HTTP status, 0 without an answer, and a message."""
        exchange = Exchange(ANSWER_SECONDS)
        with self._lock:
            self._exchange = exchange
            if self._stopping.is_set():
                exchange.stop()
        try:
            headers = self._webhook.headers(body, now)
            status, reason, answer = exchange.post(
                self._webhook.url, body, headers, MAX_ANSWER_BYTES
            )
        except (OSError, ValueError, http.client.HTTPException) as error:
            return 0, f"{type(error).__name__}: {error}"
        if 200 <= status < 300:
            return status, answer.decode(errors="replace")
        return status, f"HTTP {status}: {reason}"

    def _tell_of(self, alert_id: str, message: str, *, done: bool, is_last: bool) -> None:
        """Report each change, and each alert that is given up, but not each attempt."""
        if done and self._fails:
            self._tell("--deliver: the webhook accepts alerts again")
        elif not done and is_last:
            self._tell(f"--deliver: alert {alert_id} is given up: {message}")
        elif not done and not self._fails:
            self._tell(f"--deliver: the webhook did not accept an alert, trying again: {message}")
        self._fails = not done

    def _payload(self, kept: TrackedAlert) -> dict[str, Any]:
        found = kept.found
        is_error = found.kind == DETECTION_ERROR
        item = self._library.items.get(found.rule_id)
        return {
            "id": found.rule_id,
            "createdAt": iso(found.created),
            "severity": found.severity,
            "type": f"{found.detection_type}_ERROR" if is_error else found.detection_type,
            "link": f"{self._link}/console/incidents/{found.id}",
            "title": found.title,
            "name": found.rule_name,
            "alertId": found.id,
            "alertContext": found.context,
            "description": found.description,
            "runbook": found.runbook,
            "tags": found.tags,
            "version": item.digest if item else "",
        }
