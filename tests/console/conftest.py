"""The console for tests in a real browser and with plain requests."""

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest

from tests.builders.browser import watched_page
from tests.instance.conftest import archive
from tests.serving.conftest import attack, content_files, fed

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="session")
def found(tmp_path_factory) -> Iterator:
    """An instance with two incidents, which tests may only read."""
    folder = tmp_path_factory.mktemp("console")
    with fed(folder / "state", attack(folder), content=archive(content_files())) as client:
        yield client


@pytest.fixture
def worked(tmp_path) -> Iterator:
    """An instance that a test may change."""
    content = archive(content_files())
    with fed(tmp_path / "state", attack(tmp_path), content=content) as client:
        yield client


@pytest.fixture
def signed_in(browser):
    """Return a function that opens a page of an instance and signs in."""

    def signed_in(client, path="", **options):
        page = watched_page(browser, **options)
        page.goto(f"{client.home}console/login?code={client.sessions.new_code()}")
        if path:
            page.goto(client.home + path)
        return page

    return signed_in


class Visitor:
    """A client that sends plain requests, with the cookies that it gets."""

    def __init__(self, client) -> None:
        self.place = urlsplit(client.home)
        self.cookie = ""
        self.csrf = ""

    @classmethod
    def signed_in(cls, client) -> "Visitor":
        visitor = cls(client)
        visitor.get(f"/console/login?code={client.sessions.new_code()}")
        _, text, _ = visitor.get("/")
        visitor.csrf = re.search('name="csrf" value="([^"]+)"', text)[1]
        return visitor

    def get(self, path, **headers):
        return self.ask("GET", path, None, headers)

    def post(self, path, fields, **headers):
        """Send a form, with the CSRF secret of the session unless the fields have one."""
        return self.ask("POST", path, urlencode({"csrf": self.csrf, **fields}), {**FORM, **headers})

    def ask(self, method, path, body, headers):
        """Send a request; return the status, the text and the headers of the answer."""
        connection = http.client.HTTPConnection(self.place.hostname, self.place.port, timeout=30)
        own = {"Cookie": self.cookie} if self.cookie else {}
        sent = {name: value for name, value in {**own, **headers}.items() if value is not None}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        if cookie := answer.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        connection.close()
        return answer.status, text, answer.headers


@pytest.fixture
def visitor(found) -> Visitor:
    return Visitor.signed_in(found)
