"""Access to the console and its changes, tested with plain requests."""

import json
import re
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from local_panther.console import site
from local_panther.console.sessions import (
    CODE_SECONDS,
    MAX_CODES,
    MAX_SESSIONS,
    SESSION_SECONDS,
    Sessions,
)
from tests.builders import hostile
from tests.console.conftest import Visitor
from tests.instance.conftest import TOKEN
from tests.instance.servers import FOREIGN, server

pytestmark = [pytest.mark.attack("serve"), pytest.mark.process]

PAGES = (
    *("/", "/?severity=HIGH", "/console", "/console/sql", "/console/content", "/console/live"),
    *("/console/incidents/x", "/console/alerts/x/events", "/console/queries/x"),
    *("/console/queries/x/csv", "/console/nothing"),
)


def alert_ids(client):
    return [alert["id"] for alert in client.get("/alerts")["results"]]


def states(client):
    """Return what a person can change, for all alerts."""
    alerts = client.get("/alerts")["results"]
    comments = [client.get("/alert-comments", alert_id=a["id"])["results"] for a in alerts]
    return [(a["id"], a["status"], a.get("assignee")) for a in alerts], comments


@pytest.fixture
def changes(found):
    """Return every change of the console, as a path and the fields of the form."""
    incident = f"/console/incidents/{alert_ids(found)[0]}"
    return (
        (incident, {"status": "RESOLVED"}),
        (incident, {"assign": "me"}),
        (incident, {"comment": "forged"}),
        ("/console/queries", {"sql": "SELECT 'forged'"}),
        ("/console/logout", {}),
    )


class TestWithoutASession:
    @pytest.mark.parametrize("path", PAGES)
    def test_no_page_is_shown_without_a_session(self, found, path):
        status, text, headers = Visitor(found).get(path)
        if path == "/console/live":
            assert status == 403
        else:
            assert status == 303 and headers["Location"].startswith("/console/login?next=")
        assert "mallory" not in text

    def test_no_request_without_a_session_changes_anything(self, found, changes):
        before, queries = states(found), len(found.feed._instance.lake.all())
        for path, fields in changes:
            assert Visitor(found).post(path, fields)[0] == 403
        assert states(found) == before and len(found.feed._instance.lake.all()) == queries

    @pytest.mark.parametrize("cookie", ["", "x", TOKEN, "é", "a" * 5000])
    def test_an_invented_cookie_is_not_accepted(self, found, visitor, cookie):
        name = visitor.cookie.partition("=")[0]
        stranger = Visitor(found)
        assert stranger.get("/", Cookie=f"{name}={cookie}".encode())[0] == 303

    def test_the_token_in_a_header_opens_no_page(self, found):
        assert Visitor(found).get("/", **{"X-API-Key": TOKEN})[0] == 303

    @pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN.upper(), *hostile.COMMANDS])
    def test_a_wrong_token_is_refused(self, found, token):
        visitor = Visitor(found)
        status, text, _ = visitor.post("/console/login", {"token": token})
        assert status == 403 and "This is not the token." in text and not visitor.cookie

    @pytest.mark.parametrize(
        "after",
        [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/x\r\nX-Owned: 1",
            "/alerts",
        ],
    )
    def test_signing_in_redirects_to_no_other_server(self, found, after):
        path = f"/console/login?{urlencode({'next': after})}"
        status, _, headers = Visitor(found).post(path, {"token": TOKEN})
        assert status == 303 and headers["Location"] == "/" and "X-Owned" not in headers


class TestASession:
    def test_the_cookie_is_kept_from_scripts_and_other_sites(self, found):
        visitor = Visitor(found)
        _, _, headers = visitor.post("/console/login", {"token": TOKEN})
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
        assert TOKEN not in cookie and visitor.get("/")[0] == 200

    def test_a_link_signs_in_once(self, found):
        code = found.sessions.new_code()
        first, second = Visitor(found), Visitor(found)
        assert first.ask("HEAD", f"/console/login?code={code}", None, {})[0] == 403
        status, _, headers = first.get(f"/console/login?code={code}")
        assert status == 303 and headers["Location"] == "/" and first.get("/")[0] == 200
        status, text, _ = second.get(f"/console/login?code={code}")
        assert status == 403 and "used or has expired" in text and not second.cookie

    def test_signing_out_ends_the_session(self, found, visitor):
        assert visitor.post("/console/logout", {})[0] == 303
        assert visitor.get("/")[0] == 303

    def test_the_apis_do_not_accept_the_cookie_of_the_console(self, found, visitor):
        body = json.dumps({"query": "{generalSettings {pantherVersion}}"})
        headers = {"Cookie": visitor.cookie, "Content-Type": "application/json"}
        assert visitor.ask("POST", "/public/graphql", body, headers)[0] == 403
        assert visitor.get("/alerts")[0] == 403
        assert visitor.get("/alerts", **{"X-API-Key": visitor.csrf})[0] == 403

    @pytest.mark.parametrize("csrf", ["", "x", "é", TOKEN])
    def test_a_forged_form_changes_nothing(self, found, visitor, changes, csrf):
        before, queries = states(found), len(found.feed._instance.lake.all())
        for path, fields in changes:
            status, text, _ = visitor.post(path, {**fields, "csrf": csrf})
            assert status == 403 and "nothing was changed" in text
        other = Visitor.signed_in(found)
        assert visitor.post(*changes[0], **{"Cookie": other.cookie})[0] == 403
        assert states(found) == before and len(found.feed._instance.lake.all()) == queries
        assert visitor.get("/")[0] == 200

    @pytest.mark.parametrize(
        "wrong",
        (*FOREIGN, {"Origin": "http://127.0.0.1:1"}),
    )
    def test_unknown_host_names_and_origins_are_refused(self, found, visitor, changes, wrong):
        before = states(found)
        for path in (*PAGES, "/console/login", "/favicon.ico"):
            assert visitor.get(path, **wrong)[0] == 403, path
        for path, fields in changes:
            assert visitor.post(path, fields, **wrong)[0] == 403
        assert states(found) == before

    @pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data"])
    def test_a_change_that_is_not_a_form_is_refused(self, visitor, changes, kind):
        for path, fields in changes:
            assert visitor.post(path, fields, **{"Content-Type": kind})[0] == 415

    def test_a_form_has_a_limited_size(self, visitor):
        sent = {"csrf": visitor.csrf, "sql": "x" * (site.MAX_FORM + 1)}
        assert visitor.post("/console/queries", sent)[0] == 413
        many = {f"set.{number}": "x" for number in range(site.MAX_FIELDS + 1)}
        assert visitor.post("/console/queries", many)[0] == 400

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_other_methods_are_refused(self, visitor, method):
        assert visitor.ask(method, "/", None, {})[0] in (403, 405)

    @pytest.mark.parametrize(
        "path",
        (
            *("/?severity=X", "/?status=x", "/?from=yesterday", "/?to=x", "/?after=x"),
            *("/?after=WzFd", "/?after=W1sxXSwyLDMsNCw1XQ==", "/console/sql?of=x"),
            *("/console/incidents/x", "/console/alerts/x/events", "/console/queries/x"),
            *("/console/queries/x/csv", "/console/incidents/%00", "/console/nothing"),
        ),
    )
    def test_an_invalid_request_gets_a_page_with_the_error(self, visitor, path):
        status, text, _ = visitor.get(path)
        assert status in (400, 404) and 'role="alert"' in text

    def test_the_short_address_of_the_console_leads_to_the_list(self, visitor):
        for path in ("/console", "/console/"):
            assert "data-row" in visitor.get(path)[1]

    def test_a_form_without_a_change_is_refused(self, found, visitor):
        path = f"/console/incidents/{alert_ids(found)[0]}"
        for fields in ({}, {"status": "DONE"}, {"comment": "  "}, {"comment": "x" * 100_001}):
            assert visitor.post(path, fields)[0] == 400
        assert visitor.post("/console/incidents/x", {"status": "OPEN"})[0] == 404
        assert visitor.post("/console/queries", {"name": "no such query"})[0] == 404
        assert visitor.post("/console/queries", {"sql": " "})[0] == 400

    def test_the_headers_of_every_page_forbid_frames_caching_and_type_guessing(self, visitor):
        for path in PAGES[:-1]:
            if path != "/console/live":
                _, _, headers = visitor.get(path)
                assert headers["X-Frame-Options"] == "DENY"
                assert headers["Cache-Control"] == "no-store"
                assert headers["X-Content-Type-Options"] == "nosniff"


def test_sessions_and_codes_are_limited_and_expire():
    now = [0.0]
    sessions = Sessions("token", lambda: now[0])
    cookies = [sessions.sign_in("token") for _ in range(MAX_SESSIONS + 1)]
    assert sessions.get(cookies[0]) is None and sessions.get(cookies[1])
    now[0] = SESSION_SECONDS
    assert not any(map(sessions.get, cookies))
    codes = [sessions.new_code() for _ in range(MAX_CODES + 1)]
    assert sessions.use_code(codes[0]) is None and sessions.use_code(codes[1])
    now[0] += CODE_SECONDS
    assert sessions.use_code(codes[2]) is None


def test_open_pages_that_are_notified_are_limited(found, visitor, monkeypatch):
    monkeypatch.setattr(site, "MAX_LIVE", 0)
    assert visitor.get("/console/live")[0] == 204


def test_a_link_that_signs_in_is_printed_only_for_a_generated_token(tmp_path):
    with server(tmp_path / "state") as given:
        _, messages = given.end()
    assert "sign in with the token" in messages
    assert "code=" not in messages and TOKEN not in messages
    with server(tmp_path / "state", PANTHER_API_TOKEN="") as made:
        line = ""
        while "/console/login?code=" not in line:
            line = made.process.stderr.readline()
            assert line
        visitor = Visitor(SimpleNamespace(home=made.url))
        code = re.search(r"login\?code=(\S+)", line)[1]
        assert visitor.get(f"/console/login?code={code}")[0] == 303
        assert visitor.get("/")[0] == 200
