"""Files that are delivered, and content that is uploaded, while the instance runs."""

import json
import os
import subprocess
import threading

import pytest

from local_panther.instance.store.library import Library
from local_panther.records.s3 import S3, S3Error
from local_panther.serving import feed, looking
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.builders.s3 import BUCKET
from tests.instance.conftest import archive
from tests.instance.servers import COMMAND, eventually, server
from tests.instance.test_hostile_checks import DAEMON, sleepers
from tests.instance.test_uploads import one_rule
from tests.serving.conftest import fed
from tests.serving.test_lake import LOGS, rows

pytestmark = pytest.mark.process

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
    monkeypatch.setattr(looking, "BUCKET_SECONDS", 0.4)


def rule(name: str, **fields) -> bytes:
    return archive(one_rule(body=ON_ROLES.replace("{name}", name), RuleID=f"On.{name}", **fields))


def deliver(folder, number: int, *names: str) -> None:
    """Move a complete file into the folder."""
    records = [call(name, time=START + 60 * number, eventID=f"{name}-{number}") for name in names]
    write_lines(folder.parent / "new", records).rename(folder / f"{number}.json")


def counts(client) -> dict[str, int]:
    return {alert["title"]: alert["eventCount"] for alert in client.get("/alerts")["results"]}


def test_later_files_are_replayed_and_uploads_apply_to_later_records(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    deliver(folder, 0, "ListRoles", "ListUsers", "ListGroups")
    with fed(tmp_path / "state", folder, content=rule("ListRoles"), follow=True) as client:
        messages = client.messages
        assert counts(client) == {"ListRoles": 1}
        (alert,) = client.get("/alerts")["results"]
        client.rest("PATCH", "/alerts", {"ids": [alert["id"]], "status": "TRIAGED"})

        deliver(folder, 1, "ListRoles")
        messages.wait_for("new alerts", times=2)
        (again,) = client.get("/alerts")["results"]
        assert (again["id"], again["status"], again["eventCount"]) == (alert["id"], "TRIAGED", 2)

        for name in ("ListUsers", "ListGroups"):
            assert client.upload(rule(name))["status"] == "COMPLETED"
        messages.wait_for("in use for records from now on")
        assert counts(client) == {"ListRoles": 2}  # new rules do not see earlier records

        deliver(folder, 2, "ListUsers")
        messages.wait_for("new alerts: 1", times=2)
        assert counts(client).keys() == {"ListRoles", "ListUsers"}
        assert len(client.get("/alerts")["results"]) == 2
    # Another start runs the content in use over everything.
    with fed(tmp_path / "state", folder) as client:
        assert counts(client) == {"ListRoles": 2, "ListUsers": 2, "ListGroups": 1}


def test_a_new_file_is_read_without_reading_the_others_again(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(3):
        deliver(folder, number, "ListRoles", "ListUsers")
    with fed(tmp_path / "state", folder, content=rule("ListRoles"), follow=True) as client:
        for path in folder.iterdir():
            status = path.stat()
            path.write_bytes(b"x" * status.st_size)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        deliver(folder, 3, "ListRoles")
        line = client.messages.wait_for("new alerts", times=2)
        assert "7 records of 4 files, 1 of them new; new alerts: 0" in line
        assert counts(client) == {"ListRoles": 4}
        (alert,) = client.get("/alerts")["results"]
        events = client.get(f"/alerts/{alert['id']}/events")["results"]
        assert [event["eventID"] for event in events] == [f"ListRoles-{n}" for n in range(4)]
        assert len(rows(client, f"SELECT eventID FROM {LOGS}")) == 7


def test_a_late_or_removed_file_causes_a_replay_of_all_files(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    deliver(folder, 60, "ListRoles")
    deliver(folder, 100, "ListUsers")
    with fed(tmp_path / "state", folder, content=rule("ListRoles"), follow=True) as client:
        messages = client.messages
        deliver(folder, 50, "ListRoles")
        line = messages.wait_for("new alerts", times=2)
        assert "(everything again: " in line and "is 50 minutes late)" in line
        deliver(folder, 55, "ListRoles")
        assert ", 1 of them new" in messages.wait_for("new alerts", times=3)  # it waits longer now
        (folder / "50.json").unlink()
        gone = messages.wait_for("new alerts", times=4)
        assert "3 records of 3 files (everything again: a file has changed or is gone)" in gone
        assert len(rows(client, f"SELECT eventID FROM {LOGS}")) == 3


def test_a_replay_that_is_killed_restarts_and_loses_nothing(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    deliver(folder, 0, "ListRoles")
    with fed(tmp_path / "state", folder, content=rule("ListRoles"), follow=True) as client:
        client.feed._process.kill()
        deliver(folder, 1, "ListRoles")
        line = client.messages.wait_for("new alerts", times=2)
        assert "(everything again: " in line
        assert counts(client) == {"ListRoles": 2}

        orders = client.feed._process._orders
        deliver(folder, 2, "ListRoles")
        assert eventually(lambda: client.feed._process._orders > orders, 30)
        client.feed._process.kill()  # while it reads or writes
        client.messages.wait_for("new alerts", times=3)
        assert counts(client) == {"ListRoles": 3}
    assert not list((tmp_path / "state").glob(".upload-*"))
    assert len(list((tmp_path / "state").glob("lake-*"))) == 1


def put(bucket, number: int, *names: str, key: str = "") -> None:
    """Put an object into the bucket."""
    records = [call(name, time=START + 60 * number, eventID=f"{name}-{number}") for name in names]
    body = "".join(json.dumps(record) + "\n" for record in records)
    bucket.put_object(Bucket=BUCKET, Key=key or f"logs/{number}.json", Body=body)


def test_new_objects_of_a_bucket_are_replayed_and_a_bucket_that_fails_loses_nothing(
    bucket, tmp_path, monkeypatch
):
    put(bucket, 0, "ListRoles", "ListUsers")
    url = f"s3://{BUCKET}/logs/"
    with fed(tmp_path / "state", url, content=rule("ListRoles"), follow=True) as client:
        messages = client.messages
        assert counts(client) == {"ListRoles": 1}
        put(bucket, 9, "ListRoles", key="elsewhere/9.json")
        put(bucket, 1, "ListRoles")
        messages.wait_for("new alerts", times=2)
        assert counts(client) == {"ListRoles": 2}

        put(bucket, 2, "ListRoles", key="logs/1.json")  # replaces the object
        messages.wait_for("new alerts", times=3)
        assert rows(client, f"SELECT eventID FROM {LOGS} ORDER BY eventID") == [
            {"eventID": name} for name in ("ListRoles-0", "ListRoles-2", "ListUsers-0")
        ]
        assert client.upload(rule("ListUsers"))["status"] == "COMPLETED"
        messages.wait_for("in use for records from now on")
        assert counts(client).keys() == {"ListRoles"}

        monkeypatch.setattr(S3, "objects", no_answer)
        messages.wait_for(f"--follow: {url}: cannot be listed: no answer; its known files stay")
        assert len(rows(client, f"SELECT eventID FROM {LOGS}")) == 3
        monkeypatch.undo()


def no_answer(self, url: str, period) -> list[str]:
    raise S3Error(url, "no answer")


def test_follow_without_replay_is_refused(tmp_path):
    command = [*COMMAND, "serve", "--state", str(tmp_path / "state"), "--follow"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--follow needs --replay" in done.stderr


@pytest.mark.attack("serve")
def test_a_failed_replay_is_reported_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "AGAIN_SECONDS", 0.5)
    folder = tmp_path / "live"
    folder.mkdir()
    deliver(folder, 1, "ListRoles")
    made, tries = Library.work_folder, []

    def on_a_full_disk(library):
        if threading.current_thread().name.startswith("Thread") and not tries:
            tries.append(library)
            raise OSError(28, "No space left on device")
        return made(library)

    monkeypatch.setattr(Library, "work_folder", on_a_full_disk)
    with fed(tmp_path / "state", folder, content=rule("ListRoles"), follow=True) as client:
        client.messages.wait_for("replay: failed: OSError: [Errno 28] No space left on device")
        client.messages.wait_for("new alerts: 1")


@pytest.mark.attack("processes")
def test_no_process_that_content_starts_outlives_the_replay(tmp_path):
    seconds = f"5{os.getpid()}.25"
    folder = tmp_path / "live"
    folder.mkdir()
    deliver(folder, 1, "ListRoles")
    body = DAEMON.format(more="pass", note=str(tmp_path / "note"), seconds=seconds, then="")
    options = ("--replay", str(folder), "--trust-content")
    with server(tmp_path / "state", *options) as running:
        # Count only the processes of the replay: the check of the upload starts one as well.
        assert running.client.upload(archive(one_rule(body=body)))["status"] == "COMPLETED"
        assert eventually(lambda: running.client.get("/alerts")["results"], 60)
        assert (tmp_path / "note").exists() and eventually(lambda: not sleepers(seconds))


@pytest.mark.attack("processes")
def test_a_thread_that_a_rule_started_does_not_delay_the_replay(tmp_path):
    folder = tmp_path / "live"
    folder.mkdir()
    deliver(folder, 1, "ListRoles")
    body = "import threading, time\ndef rule(event):\n"
    body += "    threading.Thread(target=lambda: time.sleep(1000)).start()\n    return True\n"
    with fed(tmp_path / "state", folder, content=archive(one_rule(body=body))) as client:
        assert len(client.get("/alerts")["results"]) == 1


@pytest.mark.attack("processes")
def test_a_replay_leaves_no_temporary_folder(tmp_path):
    folder, temporary = tmp_path / "live", tmp_path / "tmp"
    for path in (folder, temporary):
        path.mkdir()
    deliver(folder, 1, "ListRoles")
    options = ("--replay", str(folder))
    with server(tmp_path / "state", *options, TMPDIR=str(temporary)) as running:
        assert running.client.upload(rule("ListRoles"))["status"] == "COMPLETED"
        assert eventually(lambda: running.client.get("/alerts")["results"], 60)
        assert eventually(lambda: not list((tmp_path / "state").glob(".upload-*")), 30)
        assert eventually(lambda: not list(temporary.glob("local-panther-box-*")), 5)
    assert not list(temporary.glob("local-panther-*"))
