"""Servers killed at random moments of replay, delivery, upload and change of a status."""

import random
import threading
import time
from contextlib import closing

import pytest

from local_panther.instance.alerts.model import AlertFilter
from local_panther.instance.instance import Instance
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.instance.conftest import archive
from tests.instance.servers import Server, eventually, server
from tests.instance.test_uploads import one_rule
from tests.scale import examples
from tests.serving.test_webhook import SECRET, receiver

pytestmark = [pytest.mark.attack("kills"), pytest.mark.process]

BODY = """
def rule(event):
    return True

def dedup(event):
    return event.get("eventID")
"""
EVENTS = 5
STATUSES = ("OPEN", "TRIAGED", "RESOLVED", "CLOSED")


class Answered:
    """The answers of the server, whose content must not be lost."""

    def __init__(self) -> None:
        self.alerts: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.asked: dict[str, str] = {}  # requested statuses, which may be stored without an answer
        self.comments: set[str] = set()
        self.rules = {"Test.Rule"}

    def work(self, running: Server, moments: random.Random) -> None:
        """Send one request after the other until the server is killed."""
        client, number = running.client, 0
        try:
            while True:
                number += 1
                for alert in client.get("/alerts")["results"]:
                    self.alerts.add(alert["id"])
                    status = moments.choice(STATUSES)
                    self.asked[alert["id"]] = status
                    body = {"ids": [alert["id"]], "status": status}
                    assert client.rest("PATCH", "/alerts", body)[0] == 204
                    self.statuses[alert["id"]] = status
                    body = {"alertId": alert["id"], "body": f"{number}", "format": "HTML"}
                    done, comment = client.rest("POST", "/alert-comments", body)
                    assert done == 200
                    self.comments.add(comment["id"])
                name = f"Rule.{moments.randrange(10**9)}"
                rule = archive(one_rule(body="def rule(event):\n    return False\n", RuleID=name))
                if client.upload(rule)["status"] == "COMPLETED":
                    self.rules.add(name)
        except (OSError, ValueError):  # it was killed before it answered
            pass

    def check(self, state) -> None:
        """Assert that a state has all that was answered."""
        with closing(Instance(state)) as found:
            kept = {entry.found.id: entry for entry in found.alerts.find(AlertFilter(), -1)}
            assert self.alerts <= kept.keys()
            for alert_id, status in self.statuses.items():
                assert kept[alert_id].status in (status, self.asked[alert_id])
                assert found.alerts.events(alert_id, 0, 5)
            for comment_id in self.comments:
                assert found.alerts.get_comment(comment_id)
            assert self.rules <= found.library.items.keys()
            self.asked = dict(self.statuses)
            self.statuses = {i: kept[i].status for i in self.statuses}
            self.asked |= self.statuses


def test_nothing_that_was_answered_is_lost_and_every_alert_is_delivered(tmp_path, record_property):
    state, moments = tmp_path / "state", random.Random(16)
    started = time.monotonic()
    with server(state) as running:
        assert running.client.upload(archive(one_rule(body=BODY)))["status"] == "COMPLETED"
    seconds = time.monotonic() - started  # a start and an upload; a replay takes about as long
    records = [call("ListRoles", time=START + n, eventID=f"event-{n}") for n in range(EVENTS)]
    trail = write_lines(tmp_path / "trail", records)
    answered = Answered()
    with receiver(200, 500, 200) as hook:
        options = ("--replay", str(trail), "--deliver", hook.url)
        key = {"PANTHER_WEBHOOK_SECRET": SECRET.decode()}
        record_property("tried", tries := examples(3, 200))
        for _ in range(tries):
            running = Server(state, *options, **key)
            timer = threading.Timer(moments.uniform(0, 3 * seconds), running.process.kill)
            timer.start()
            answered.work(running, moments)
            timer.join()
            running.process.communicate(timeout=30)
            answered.check(state)
        with server(state, *options, **key) as running:
            found = lambda: running.client.get("/alerts")["results"]  # noqa: E731
            assert eventually(lambda: len(found()) == EVENTS, 60)
            assert eventually(lambda: {a["id"] for a in found()} <= set(hook.alerts), 30)
    answered.check(state)
    names = {path.name for path in state.iterdir() if not path.name.startswith("alerts.sqlite")}
    lakes = {name for name in names if name.startswith("lake-")}
    contents = {name for name in names if name.startswith(".content-")}
    assert len(lakes) == len(contents) == 1
    assert names == {"state.json", *lakes, *contents}
