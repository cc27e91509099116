"""Instances with the repository's content and a replay of a simulated attack."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_panther.console.sessions import Sessions
from local_panther.console.site import Console
from local_panther.instance.http.server import running
from local_panther.serving.feed import Feed
from tests.builders.replays import simulated
from tests.instance.conftest import TOKEN, Client, archive, repo_files

ENABLED = "rules/aws_cloudtrail_rules/aws_iam_assume_role_blocklist_ignored.yml"


class Messages:
    """The messages of a feed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._came = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._came:
            self.lines.append(line)
            self._came.notify_all()

    def wait_for(self, text: str, times: int = 1, seconds: float = 90) -> str:
        """Wait until a text has appeared in enough lines, and return the last of them."""
        with self._came:
            found = lambda: [line for line in self.lines if text in line]  # noqa: E731
            assert self._came.wait_for(lambda: len(found()) >= times, seconds), self.lines
            return found()[times - 1]


@contextmanager
def fed(
    state: Path,
    *paths: Path,
    content: bytes | None = None,
    until: str = "new alerts",
    follow: bool = False,
    trust: bool = False,
) -> Iterator[Client]:
    """Run an instance; yield its client after a message, by default that of the first replay."""
    messages = Messages()
    feeds: list[Feed] = []

    def background(instance):
        feeds.append(Feed(instance, [str(path) for path in paths], 1, messages, follow=follow))
        return feeds[0]

    sessions = Sessions(TOKEN)

    def pages(instance):
        return Console(instance, sessions)

    with running(state, TOKEN, background, pages=pages, trust=trust) as url:
        client = Client(url, state)
        client.sessions, client.home = sessions, url.replace("/public/graphql", "/")
        client.messages, client.feed = messages, feeds[0]
        if content:
            assert client.upload(content)["status"] == "COMPLETED"
        messages.wait_for(until)
        yield client


def attack(folder: Path) -> Path:
    """Write an attack that succeeds, and one on a role of the blocklist.

    Its roles are listed after the attempts, so that the correlation rule alerts.
    """
    blocked = "arn:aws:iam::123456789012:role/FullAdminRole"
    scenario = {"succeed": 2, "discovery_last": True, "blocklisted": blocked}
    return simulated(folder / "trail.json.gz", **scenario)


def content_files() -> dict[str, str]:
    """Return the repository's content with the blocklist enabled."""
    files = repo_files()
    files[ENABLED] = files[ENABLED].replace("Enabled: false", "Enabled: true")
    return files


@pytest.fixture(scope="session")
def lake(tmp_path_factory) -> Iterator[Client]:
    """An instance that all tests share; a test may only change what it has created."""
    folder = tmp_path_factory.mktemp("fed")
    content = archive(content_files())
    with fed(folder / "state", attack(folder), content=content) as client:
        yield client


@pytest.fixture(scope="session")
def trusting(tmp_path_factory) -> Iterator[Client]:
    """An instance without the box, so that uploads can start processes."""
    folder = tmp_path_factory.mktemp("trusting")
    content = archive(content_files())
    with fed(folder / "state", attack(folder), content=content, trust=True) as client:
        yield client


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Client]:
    """An instance without content and without a replay."""
    with running(tmp_path / "state", TOKEN) as url:
        yield Client(url, tmp_path / "state")
