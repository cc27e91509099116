"""Rules when the key-value store fails: a visible error on an attempt, and no other effect.

boto3 talks to a real server on loopback that refuses, or finds none.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import aws_role_attempt_helpers as attempts
import boto3
import distinct_window_helpers
import pytest
from botocore.config import Config
from panther_detection_helpers import caching

from tests.builders.events import call, denied, event, role_arn, user
from tests.builders.rules import (
    BLOCKLIST,
    FAILED_ATTEMPTS,
    LIST_ROLES,
    ROLE_SEARCH,
    in_place,
    matches,
)

pytestmark = pytest.mark.attack("rules")

ERRORS = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "no such table": (400, "ResourceNotFoundException"),
    "not allowed": (400, "AccessDeniedException"),
    "broken": (500, "InternalServerError"),
}
PATIENCE = 0.3  # seconds that boto3 waits for the store; a minute on an instance


def refusing(status: int, code: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}"}).encode()
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


class Silent(BaseHTTPRequestHandler):
    """A server that accepts a request and never answers."""

    def do_POST(self) -> None:
        time.sleep(3 * PATIENCE)


class BreaksOff(BaseHTTPRequestHandler):
    """A server that closes the connection in the middle of an answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


HANDLERS = {kind: refusing(*error) for kind, error in ERRORS.items()}
HANDLERS |= {"silent": Silent, "breaks off": BreaksOff}


@contextlib.contextmanager
def failing_store(kind: str) -> Iterator[str]:
    """Yield the address of a store that fails in the given way."""
    if kind == "unreachable":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), HANDLERS[kind])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def impatient_session() -> boto3.Session:
    session = boto3.Session()
    timeouts = Config(read_timeout=PATIENCE, connect_timeout=PATIENCE)
    session._session.set_default_client_config(timeouts)
    return session


@pytest.fixture(params=["unreachable", *HANDLERS])
def failing(request, monkeypatch):
    distinct_window_helpers._known.clear()
    attempts._latest.clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", impatient_session())
    with failing_store(request.param) as address:
        settings = {
            "AWS_ENDPOINT_URL_DYNAMODB": address,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_MAX_ATTEMPTS": "1",
        }
        with patch.dict(os.environ, settings), patch.object(caching, "_KV_TABLE", None):
            yield


@pytest.mark.long
@pytest.mark.parametrize("name", [FAILED_ATTEMPTS, ROLE_SEARCH])
def test_an_attempt_is_a_visible_rule_error(failing, name):
    result = in_place(name).run(event(denied(role_arn("X"))), {}, {}, batch_mode=True)
    assert result.detection_exception is not None and not result.trigger_alert


@pytest.mark.long
def test_discovery_is_still_a_signal(failing):
    assert matches(in_place(LIST_ROLES), event(call("ListRoles")))


@pytest.mark.long
def test_no_other_event_is_an_error(failing):
    rules = [in_place(name) for name in (BLOCKLIST, LIST_ROLES, FAILED_ATTEMPTS, ROLE_SEARCH)]
    for record in (call("AssumeRole"), call("DescribeInstances"), {}):
        assert not any(matches(rule, event(record)) for rule in rules)


@pytest.mark.long
@pytest.mark.parametrize("name", [FAILED_ATTEMPTS, ROLE_SEARCH])
def test_the_context_of_a_burst_does_not_need_discovery(failing, name):
    module = in_place(name).module
    context = module.alert_context(event(denied(role_arn("X"))))
    assert context["distinctTargets"] == 1 and context["discoveryTimes"] == []
    assert attempts.discovery_times(event(denied(role_arn("X")))) == ""


def test_an_item_that_is_not_a_string_set_is_an_error_for_its_principal_only(store):
    rule, attempt = in_place(FAILED_ATTEMPTS), event(denied(role_arn("X")))
    assert not matches(rule, attempt)
    for item in caching.kv_table().scan()["Items"]:
        caching.kv_table().put_item(Item=item | {"stringSet": 7})
    distinct_window_helpers._known.clear()
    result = rule.run(attempt, {}, {}, batch_mode=True)
    assert "ValidationException" in str(result.detection_exception) and not result.trigger_alert
    other = event(denied(role_arn("X"), user("bob")))
    assert not matches(rule, other)
