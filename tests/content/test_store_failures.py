"""What the rules do when the key-value store fails: a visible error on an attempt, nothing else.

The store is real as far as boto3 can tell: a server on loopback that refuses, or none at all.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import distinct_window_helpers
import pytest
from panther_detection_helpers import caching

from tests.content.loading import BLOCKLIST, FAILED_ATTEMPTS, LIST_ROLES, in_place, matches
from tests.shapes import call, denied, event, role_arn

ERRORS = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "no such table": (400, "ResourceNotFoundException"),
    "not allowed": (400, "AccessDeniedException"),
    "broken": (500, "InternalServerError"),
}


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


@contextlib.contextmanager
def failing_store(kind: str) -> Iterator[str]:
    """Give the address of a store that fails."""
    if kind == "unreachable":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), refusing(*ERRORS[kind]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["unreachable", *ERRORS])
def failing(request):
    distinct_window_helpers._known.clear()
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


def test_an_attempt_is_a_visible_rule_error(failing):
    result = in_place(FAILED_ATTEMPTS).run(event(denied(role_arn("X"))), {}, {}, batch_mode=True)
    assert result.detection_exception is not None and not result.trigger_alert


def test_discovery_is_a_signal_all_the_same(failing):
    assert matches(in_place(LIST_ROLES), event(call("ListRoles")))


def test_no_other_event_is_an_error(failing):
    rules = [in_place(name) for name in (BLOCKLIST, LIST_ROLES, FAILED_ATTEMPTS)]
    for record in (call("AssumeRole"), call("DescribeInstances"), {}):
        assert not any(matches(rule, event(record)) for rule in rules)


def test_the_context_of_a_burst_does_without_discovery(failing):
    module = in_place(FAILED_ATTEMPTS).module
    context = module.alert_context(event(denied(role_arn("X"))))
    assert context["distinctTargets"] == 1 and context["discoveryTimes"] == []
