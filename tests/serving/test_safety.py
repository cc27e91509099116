"""The checks that every path of both APIs makes before it answers."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.instance.conftest import TOKEN
from tests.instance.servers import FOREIGN

pytestmark = [pytest.mark.attack("serve"), pytest.mark.process]

PATHS = (
    ("POST", "/public/graphql"),
    ("GET", "/alerts"),
    ("PATCH", "/alerts"),
    ("GET", "/alerts/x"),
    ("GET", "/alerts/x/events"),
    ("POST", "/alert-comments"),
    ("GET", "/rules"),
    ("PUT", "/rules/x"),
    ("DELETE", "/rules/x"),
    ("GET", "/queries"),
    ("GET", "/users"),
    ("GET", "/roles"),
    ("GET", "/api-tokens/self"),
    ("GET", "/nothing"),
    ("OPTIONS", "/alerts"),
    ("HEAD", "/alerts"),
)
BODY = json.dumps({"query": "{generalSettings {pantherVersion}}"}).encode()


def status(lake, method: str, path: str, **headers: str | None) -> int:
    """Send a request with headers added to the valid ones, or replacing them."""
    address = urlsplit(lake.url)
    client = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    all_headers = {"Host": address.netloc, "X-API-Key": TOKEN, "Content-Type": "application/json"}
    client.putrequest(method, path, skip_host=True)
    for name, value in (all_headers | headers).items():
        if value is not None:
            client.putheader(name.replace("_", "-"), value)
    body = BODY if method in ("POST", "PUT", "PATCH") else b""
    client.putheader("Content-Length", str(len(body)))
    client.endheaders(body)
    found = client.getresponse().status
    client.close()
    return found


@pytest.mark.parametrize(("method", "path"), PATHS)
class TestEveryPath:
    @pytest.mark.parametrize(
        "wrong",
        (*FOREIGN, {"X-API-Key": "wrong"}, {"X-API-Key": None}),
    )
    def test_other_host_names_origins_and_tokens_are_refused(self, lake, method, path, wrong):
        assert status(lake, method, path, **wrong) == 403

    def test_only_a_body_of_json_is_accepted(self, lake, method, path):
        if method in ("POST", "PUT", "PATCH"):
            for kind in ("text/plain", "application/x-www-form-urlencoded", None):
                assert status(lake, method, path, **{"Content-Type": kind}) == 415

    def test_a_valid_request_is_answered(self, lake, method, path):
        assert status(lake, method, path) in (200, 400, 404, 405)


def test_the_token_is_in_no_file_of_the_state(lake):
    token = TOKEN.encode()
    for path in lake.state.rglob("*"):
        assert not path.is_file() or token not in path.read_bytes(), path
