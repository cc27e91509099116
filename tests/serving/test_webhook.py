"""Each alert is delivered to the webhook, signed, at least once, and to no other address."""

import http.server
import json
import subprocess
import threading
import time
from contextlib import closing, contextmanager, suppress
from types import SimpleNamespace

import pytest

from local_panther.instance.alerts import webhook
from local_panther.instance.alerts.model import ALERT, FoundAlert
from local_panther.instance.alerts.webhook import SIGNATURE, TIME, Webhook, WebhookSender, signature
from local_panther.instance.apis.rest.alerts import AlertRoutes
from local_panther.instance.apis.rest.requests import Parameters, RestRequest
from local_panther.instance.instance import Instance
from local_panther.text import without_halves
from tests.builders import hostile
from tests.builders.content import write_lines
from tests.builders.events import call
from tests.instance.conftest import archive
from tests.instance.servers import COMMAND, eventually, server
from tests.instance.test_uploads import one_rule

pytestmark = pytest.mark.process

SECRET = b"key for a test"


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook that answers with given statuses in turn, and then with the last one."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[dict, bytes]] = []
        self.refused = ""  # the ID of an alert that it never accepts
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"

    @property
    def alerts(self) -> list[str]:
        return [json.loads(body)["alertId"] for _, body in self.received]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        statuses = self.server.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        is_refused = self.server.refused and json.loads(body)["alertId"] == self.server.refused
        self.send_response(500 if is_refused else status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"noted"[:4])

    do_GET = do_POST

    def log_message(self, *_):
        pass


@contextmanager
def receiver(*statuses: int):
    with Receiver(*(statuses or (200,))) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def alert(number: int, **fields) -> FoundAlert:
    plain = {
        "id": f"{number:032x}",
        "rule_id": "Test.Rule",
        "rule_name": "A rule",
        "detection_type": "RULE",
        "kind": ALERT,
        "severity": "HIGH",
        "title": "a title",
        "dedup": str(number),
        "created": 1_767_607_200.0 + number,
        "first": 1_767_607_200.0,
        "last": 1_767_607_200.0,
        "event_count": 1,
        "context": {"who": "alice"},
        "description": "",
        "runbook": "look",
        "reference": "",
        "tags": ["AWS"],
    }
    return FoundAlert(**plain | fields)


@pytest.fixture
def found(tmp_path):
    with closing(Instance(tmp_path / "state")) as instance:
        yield instance


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(webhook, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(webhook, "LONGEST_WAIT", 0.05)


def sender(instance: Instance, url: str, link: str = "", *more) -> WebhookSender:
    return WebhookSender(instance.alerts, instance.library, Webhook(url, SECRET), link, *more)


def take(instance: Instance, *alerts: FoundAlert) -> None:
    instance.alerts.take(alerts, [], {})


def states(instance: Instance, count: int) -> list[str | None]:
    kept = [instance.alerts.webhook_queue.get(alert(number).id) for number in range(count)]
    return [entry.state if entry else None for entry in kept]


def test_each_alert_is_delivered_once_in_the_shape_of_panther(found):
    with receiver() as hook, sender(found, hook.url, "http://here"):
        take(found, alert(0), alert(1))
        take(found, alert(1, event_count=2), alert(2))  # a known alert is not new
        assert eventually(lambda: states(found, 3) == ["done"] * 3)
        time.sleep(0.1)
    assert sorted(hook.alerts) == [alert(number).id for number in range(3)]
    headers, body = hook.received[0]
    assert json.loads(body) == {
        "id": "Test.Rule",
        "createdAt": "2026-01-05T10:00:00Z",
        "severity": "HIGH",
        "type": "RULE",
        "link": f"http://here/console/incidents/{alert(0).id}",
        "title": "a title",
        "name": "A rule",
        "alertId": alert(0).id,
        "alertContext": {"who": "alice"},
        "description": "",
        "runbook": "look",
        "tags": ["AWS"],
        "version": "",
    }
    assert headers["Content-Type"] == "application/json"
    for header, body in hook.received:
        assert header[SIGNATURE] == signature(SECRET, header[TIME], body)
        assert abs(int(header[TIME]) - time.time()) < 60


def test_a_failed_delivery_is_tried_again_until_it_succeeds(found):
    with receiver(500, 302, 404, 204) as hook, sender(found, hook.url):
        take(found, alert(0))
        assert eventually(lambda: states(found, 1) == ["done"])
    assert len(hook.received) == 4
    assert {body for _, body in hook.received} == {hook.received[0][1]}
    request = RestRequest(Parameters({}), id=alert(0).id)
    (shown,) = AlertRoutes(found.alerts).get(request).body["deliveries"]
    assert shown["success"] and shown["statusCode"] == 204


def test_a_redirect_is_not_followed(found):
    with receiver() as other, receiver(302) as hook:
        with sender(found, hook.url):
            take(found, alert(0))
            assert eventually(lambda: len(hook.received) > 2)
        assert other.received == [] and {h["Host"] for h, _ in hook.received} == {
            hook.url.split("/")[2]
        }


def test_a_delivery_fails_after_ten_further_attempts_with_the_reason(found):
    with receiver(503) as hook, sender(found, hook.url):
        take(found, alert(0))
        assert eventually(lambda: states(found, 1) == ["failed"], 20)
    assert len(hook.received) == 11
    kept = found.alerts.webhook_queue.get(alert(0).id)
    assert "503" in kept.message and kept.status == 503


@pytest.mark.attack("serve")
def test_a_webhook_that_fails_for_an_hour_gets_a_bounded_number_of_requests_and_is_reported(
    found, monkeypatch
):
    """Send real requests by a fake clock: an alert every five minutes for two hours."""
    clock, messages, minutes = [1_767_607_200.0], [], range(0, 120, 5)
    monkeypatch.setattr(webhook, "time", SimpleNamespace(time=lambda: clock[0]))
    monkeypatch.setattr(webhook, "FIRST_WAIT", 1.0)
    monkeypatch.setattr(webhook, "LONGEST_WAIT", 300.0)
    begin, found.alerts.webhook_queue.enabled = clock[0], True
    with receiver(503) as hook:
        deliverer = sender(found, hook.url, "", messages.append)
        for number, minute in enumerate([*minutes, 600]):
            while clock[0] < begin + minute * 60:
                hook.statuses[:] = [503 if clock[0] < begin + 3600 else 200]
                wait = deliverer._deliver_what_is_due()
                clock[0] = min(clock[0] + (wait or 1e9), begin + minute * 60)
            if minute in minutes:
                take(found, alert(number))
    kept = [found.alerts.webhook_queue.get(alert(n).id) for n in range(len(minutes))]
    assert max(entry.attempts for entry in kept) == webhook.MAX_ATTEMPTS
    assert len(hook.received) == sum(entry.attempts for entry in kept)
    given_up = [entry for entry in kept if entry.state == "failed"]
    assert len(given_up) == len([line for line in messages if "is given up: HTTP 503" in line])
    # Alerts are delivered if they had attempts left when the webhook recovered.
    assert [entry.state for entry in kept] == ["failed"] * 10 + ["done"] * 14
    assert [line for line in messages if "accepts alerts again" in line] == messages[-1:]
    assert len(messages) == len(given_up) + 2


def test_an_alert_that_a_webhook_never_accepts_delays_no_other(found):
    poison = 3
    with receiver() as hook, sender(found, hook.url):
        hook.refused = alert(poison).id
        take(found, *map(alert, range(10)))
        others = [number for number in range(10) if number != poison]
        done = lambda: [found.alerts.webhook_queue.get(alert(n).id).state for n in others]  # noqa: E731
        assert eventually(lambda: done() == ["done"] * 9 and states(found, 4)[poison] == "failed")
    assert hook.alerts.count(alert(poison).id) == webhook.MAX_ATTEMPTS
    assert len(hook.alerts) == 9 + webhook.MAX_ATTEMPTS


class SlowReceiver(Receiver):
    """A webhook that never completes its answer."""

    def __init__(self, first: bytes, again: bytes, pause: float) -> None:
        super().__init__(200)
        self.RequestHandlerClass = _SlowHandler
        self.first, self.again, self.pause = first, again, pause
        self.over = threading.Event()


class _SlowHandler(_Handler):
    def do_POST(self):
        self.server.received.append((dict(self.headers), b""))
        with suppress(OSError):
            self.wfile.write(self.server.first)
            while not self.server.over.wait(self.server.pause):
                self.wfile.write(self.server.again)


SLOW = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n", 0.05),
    "body": (b"HTTP/1.1 500 no\r\nContent-Length: 9999\r\n\r\n", b"x", 0.05),
    "continue, slowly": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "continue, fast": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0001),
    "nothing": (b"", b"", 0.05),
    "half a status": (b"HTT", b"", 0.05),
}


@contextmanager
def slow_receiver(name: str):
    with SlowReceiver(*SLOW[name]) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.over.set()
        found.shutdown()
        thread.join()


@pytest.mark.attack("serve")
@pytest.mark.parametrize("name", SLOW)
def test_a_delivery_fails_if_the_webhook_never_completes_its_answer(found, monkeypatch, name):
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.3)
    messages = []
    with (
        slow_receiver(name) as hook,
        sender(found, hook.url, "", messages.append),
    ):
        take(found, alert(0))
        assert eventually(lambda: states(found, 1) == ["failed"], 60)
    assert "trying again" in messages[0] and f"alert {alert(0).id} is given up" in messages[-1]


@pytest.mark.attack("serve")
@pytest.mark.parametrize("name", SLOW)
def test_a_webhook_that_never_completes_its_answer_does_not_delay_the_stop(
    found, monkeypatch, name
):
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 600)
    with slow_receiver(name) as hook:
        with sender(found, hook.url):
            take(found, alert(0))
            assert eventually(lambda: hook.received)
        assert states(found, 1) == ["pending"]  # it is tried again after the next start


def test_a_clock_that_was_ahead_delays_no_delivery(found):
    next_year = time.time() + 365 * 86400
    with receiver() as hook:
        found.alerts.webhook_queue.enabled = True
        take(found, alert(0))
        found.alerts.webhook_queue.note(
            alert(0).id,
            state="pending",
            status=0,
            message="",
            dispatched=0,
            next_attempt=next_year,
        )
        with sender(found, hook.url):
            assert eventually(lambda: states(found, 1) == ["done"])


def test_the_first_failure_and_the_recovery_of_a_webhook_are_reported(found):
    messages = []
    with receiver(500, 500, 200) as hook, sender(found, hook.url, "", messages.append):
        take(found, alert(0))
        assert eventually(lambda: states(found, 1) == ["done"])
    assert (
        len(messages) == 2 and "HTTP 500" in messages[0] and "accepts alerts again" in messages[1]
    )


def test_a_number_that_json_cannot_represent_is_delivered_as_text(found):
    with receiver() as hook, sender(found, hook.url):
        take(found, alert(0, context={"size": float("inf"), "none": float("nan")}))
        assert eventually(lambda: states(found, 1) == ["done"])
    body = json.loads(hook.received[0][1], parse_constant=pytest.fail)
    assert body["alertContext"] == {"size": "inf", "none": "nan"}


@pytest.mark.attack("output")
def test_hostile_texts_are_delivered_unchanged_except_for_lone_surrogates(found, record_property):
    texts = list(hostile.TEXTS.values())
    record_property("tried", len(texts))
    with receiver() as hook, sender(found, hook.url, "http://here"):
        for number, text in enumerate(texts):
            fields = dict.fromkeys(("rule_id", "rule_name", "title", "dedup", "runbook"), text)
            context = {text: text, "list": [text]}
            take(found, alert(number, context=context, tags=[text], **fields))
        assert eventually(lambda: states(found, len(texts)) == ["done"] * len(texts), 60)
    assert len(hook.received) == len(texts)
    for headers, body in hook.received:
        sent = json.loads(body, parse_constant=pytest.fail)
        text = texts[int(sent["alertId"], 16)]
        assert sent["alertContext"][text] == sent["tags"][0] == text
        assert sent["title"] == sent["id"] == without_halves(text)
        assert headers[SIGNATURE] == signature(SECRET, headers[TIME], body)
        assert "X-Owned" not in headers


def test_a_user_name_and_password_in_the_address_are_sent(found):
    with receiver() as hook:
        url = hook.url.replace("://", "://user:pass@")
        with sender(found, url):
            take(found, alert(0))
            assert eventually(lambda: states(found, 1) == ["done"])
    assert hook.received[0][0]["Authorization"].startswith("Basic ")


def test_pending_alerts_are_delivered_after_a_restart(tmp_path):
    with closing(Instance(tmp_path / "state")) as instance:
        nowhere = Webhook("http://127.0.0.1:9/", SECRET)
        with WebhookSender(instance.alerts, instance.library, nowhere, ""):
            take(instance, alert(0))
            assert eventually(lambda: instance.alerts.webhook_queue.get(alert(0).id).attempts)
    with closing(Instance(tmp_path / "state")) as instance, receiver() as hook:
        with sender(instance, hook.url):
            assert eventually(lambda: states(instance, 1) == ["done"])
        assert hook.alerts == [alert(0).id]


def test_suppressed_alerts_are_not_delivered(found):
    with receiver() as hook, sender(found, hook.url):
        take(found, alert(0, suppressed=True), alert(1))
        assert eventually(lambda: states(found, 2) == [None, "done"])
    assert hook.alerts == [alert(1).id]


def test_alerts_that_were_found_without_a_webhook_are_not_delivered_to_a_later_one(found):
    take(found, alert(0))
    with receiver() as hook, sender(found, hook.url):
        take(found, alert(1))
        assert eventually(lambda: states(found, 2) == [None, "done"])
    assert hook.alerts == [alert(1).id]


@pytest.mark.parametrize("url", ("ftp://example.com", "example.com", "file:///etc/passwd", "http:"))
def test_an_invalid_address_of_a_webhook_is_refused(url):
    with pytest.raises(ValueError, match="begins with http"):
        Webhook(url, SECRET)


def test_serve_delivers_the_alerts_of_its_replay(tmp_path):
    trail = write_lines(tmp_path / "trail", [call("ListRoles")])
    with receiver() as hook:
        options = ("--deliver", hook.url, "--replay", str(trail))
        key = {"PANTHER_WEBHOOK_SECRET": SECRET.decode()}
        with server(tmp_path / "state", *options, **key) as running:
            body = "def rule(event):\n    return True\n"
            assert running.client.upload(archive(one_rule(body=body)))["status"] == "COMPLETED"
            assert eventually(lambda: hook.received, 60)
            (found,) = running.client.get("/alerts")["results"]
            assert eventually(lambda: running.client.get("/alerts")["results"][0]["deliveries"])
        assert hook.alerts == [found["id"]]
        link = json.loads(hook.received[0][1])["link"]
        assert link == f"http://127.0.0.1:{running.port}/console/incidents/{found['id']}"


def test_serve_without_a_key_names_the_variable_to_set(tmp_path):
    command = [*COMMAND, "serve", "--state", str(tmp_path / "s"), "--deliver", "http://localhost"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "PANTHER_WEBHOOK_SECRET" in done.stderr
