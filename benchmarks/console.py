"""Measures processor time and memory of the console's pages with 10,000 alerts in the instance.

The time is that of the whole process, which includes the client: the cost of a page is lower.
"""

import http.client
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import RUNS, Figure
from local_panther.alerts.incidents import SEVERITIES, incidents_of
from local_panther.alerts.model import Alert
from local_panther.console.sessions import Sessions
from local_panther.console.site import Console
from local_panther.content.model import Metadata
from local_panther.instance.alerts.incident_model import found_incident
from local_panther.instance.http.server import running
from local_panther.instance.instance import Instance
from local_panther.packed import pack
from local_panther.roles.log import RoleLog
from local_panther.serving.recorder import found_alert, id_of

ALERTS = 10_000
START = 1_767_607_200.0  # 2026-01-05T10:00:00Z
MOST_SECONDS = 0.3
MOST_MB = 50
TOKEN = "benchmark"


def measure(_: int) -> list[Figure]:
    """Return the processor seconds of the first page of each list, and their memory."""
    sessions = Sessions(TOKEN)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        _fill(state)
        with running(state, TOKEN, pages=lambda instance: Console(instance, sessions)) as url:
            browser = _Browser(url, sessions)
            browser.get("/")  # templates are compiled once
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            seconds = {
                name: min(browser.seconds(path) for _ in range(RUNS))
                for name, path in (
                    ("first page", "/"),
                    ("first page of a search", "/?search=user-9999&status=ANY"),
                    ("first page of a rule", "/?rule=Test.Rule3"),
                )
            }
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    goal = f"≤ {MOST_SECONDS:g} s"
    figures = [
        Figure(
            f"{name} of {ALERTS:,} alerts",
            value,
            "s of processor time",
            goal=goal,
            met=value <= MOST_SECONDS,
        )
        for name, value in seconds.items()
    ]
    memory = Figure(
        "memory that these pages added", grown, "MB", goal=f"≤ {MOST_MB} MB", met=grown <= MOST_MB
    )
    return [*figures, memory]


class _Browser:
    def __init__(self, url: str, sessions: Sessions) -> None:
        place = urlsplit(url)
        self._place = f"{place.hostname}:{place.port}"
        self._cookie = f"local_panther_{place.port}={sessions.sign_in(TOKEN)}"

    def get(self, path: str) -> None:
        connection = http.client.HTTPConnection(self._place, timeout=60)
        connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        if answer.status != 200 or not answer.read():
            raise RuntimeError(f"{path}: {answer.status}")
        connection.close()

    def seconds(self, path: str) -> float:
        start = time.process_time()
        self.get(path)
        return time.process_time() - start


def _fill(state: Path) -> None:
    alerts = list(_alerts())
    incidents = [
        found_incident(one, [id_of(alert) for alert in one.alerts])
        for one in incidents_of(alerts, RoleLog())
    ]
    instance = Instance(state)
    try:
        ranks = {one.id: one.number for one in incidents}
        made = (found_alert(alert, []) for alert in alerts)
        instance.alerts.take(made, (), {}, None, incidents, ranks)
    finally:
        instance.close()


def _alerts() -> Iterator[Alert]:
    for number in range(ALERTS):
        severity, rule = SEVERITIES[number % len(SEVERITIES)], f"Test.Rule{number % 50}"
        arn = f"arn:aws:iam::123456789012:user/user-{number}"
        event = {
            "eventID": str(number),
            "eventName": "CreateUser",
            "sourceIPAddress": "203.0.113.10",
            "userIdentity": {"type": "IAMUser", "arn": arn, "accountId": "123456789012"},
        }
        made_at = START + number
        yield Alert(
            metadata=Metadata(
                rule_id=rule,
                analysis_type="rule",
                display_name=rule,
                severity=severity,
                creates_alert=True,
                description="",
                runbook="",
                reference="",
            ),
            severity=severity,
            title=f"user-{number} did something",
            dedup=str(number),
            created_at=made_at,
            first=made_at,
            last=made_at,
            event_ids={str(number): None},
            description="",
            runbook="",
            reference="",
            context={},
            event=event,
            event_count=1,
            packed_events=[pack(event)],
        )
