"""Files that are delivered while the instance runs, and content that is uploaded meanwhile."""

import subprocess

import pytest

from local_panther.serving import feed
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.instance.conftest import archive
from tests.instance.servers import COMMAND
from tests.instance.test_uploads import one_rule
from tests.serving.conftest import fed

ON_ROLES = """
def rule(event):
    return event.get("eventName") == "{name}"

def dedup(event):
    return event.get("eventName")

def title(event):
    return event.get("eventName")
"""


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.2)


def rule(name: str, **fields) -> bytes:
    return archive(one_rule(body=ON_ROLES.replace("{name}", name), RuleID=f"On.{name}", **fields))


def deliver(folder, number: int, *names: str) -> None:
    """Put a file into the folder as a whole."""
    records = [call(name, time=START + 60 * number, eventID=f"{name}-{number}") for name in names]
    write_lines(folder.parent / "new", records).rename(folder / f"{number}.json")


def counts(client) -> dict[str, int]:
    return {alert["title"]: alert["eventCount"] for alert in client.get("/alerts")["results"]}


def test_what_comes_later_is_replayed_and_what_is_uploaded_counts_from_then_on(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    deliver(folder, 0, "ListRoles", "ListUsers", "ListGroups")
    with fed(tmp_path / "state", folder, content=rule("ListRoles"), follow=True) as client:
        tell = client.messages
        assert counts(client) == {"ListRoles": 1}
        (alert,) = client.get("/alerts")["results"]
        client.rest("PATCH", "/alerts", {"ids": [alert["id"]], "status": "TRIAGED"})

        deliver(folder, 1, "ListRoles")
        tell.wait_for("new alerts", times=2)
        (again,) = client.get("/alerts")["results"]
        assert (again["id"], again["status"], again["eventCount"]) == (alert["id"], "TRIAGED", 2)

        for name in ("ListUsers", "ListGroups"):
            assert client.upload(rule(name))["status"] == "COMPLETED"
        tell.wait_for("in use for what comes from now on")
        assert counts(client) == {"ListRoles": 2}  # not of what came before

        deliver(folder, 2, "ListUsers")
        tell.wait_for("new alerts: 1", times=2)
        assert counts(client).keys() == {"ListRoles", "ListUsers"}
        assert len(client.get("/alerts")["results"]) == 2
    # Another start runs the content in use over everything.
    with fed(tmp_path / "state", folder) as client:
        assert counts(client) == {"ListRoles": 2, "ListUsers": 2, "ListGroups": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (("--follow",), "--follow needs --replay"),
        (("--follow", "--replay", "s3://bucket/logs"), "not followed"),
    ),
)
def test_what_cannot_be_followed_is_refused(tmp_path, options, message):
    command = [*COMMAND, "serve", "--state", str(tmp_path / "state"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and message in done.stderr
