"""An instance stores the results of its replays and keeps them."""

import gzip
import json
import shutil
import sqlite3
import stat
import subprocess
import textwrap
import time
from contextlib import closing
from dataclasses import replace

import duckdb
import pytest
import yaml

from local_panther.errors import ContentError
from local_panther.instance.alerts.model import DETECTION_ERROR, AlertFilter
from local_panther.instance.alerts.store import AlertStore
from local_panther.instance.instance import Instance
from local_panther.records.trail import Trail
from local_panther.replay import replay
from tests.builders.content import write_files, write_lines
from tests.builders.events import call
from tests.builders.replays import BLOCKLIST, CORRELATION, FAILED_ATTEMPTS
from tests.instance.conftest import TOKEN, archive
from tests.instance.servers import COMMAND, server
from tests.serving.conftest import content_files, fed
from tests.serving.test_webhook import alert as made_alert

pytestmark = pytest.mark.process


@pytest.fixture
def store(lake, tmp_path):
    """Open a copy of the alerts, as another process would read them after a kill."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in lake.state.glob("alerts.sqlite*"):
        (copy / path.name).write_bytes(path.read_bytes())
    with closing(AlertStore(copy)) as found:
        yield found


def settled(state):
    """Wait until a server has removed the temporary folders of a replay; return its state."""
    ends = time.monotonic() + 30
    while list(state.glob(".upload-*")) and time.monotonic() < ends:
        time.sleep(0.05)
    return state


class EveryRecord:
    """An observer for which a replay reads all records, as in an instance."""

    def record(self, record, arrived): ...
    def signal(self, signal): ...
    def match(self, match): ...
    def joined(self, alert, found): ...


def test_an_instance_stores_the_alerts_of_a_replay(lake, store, tmp_path):
    content = write_files(tmp_path / "content", content_files())
    (trail,) = lake.state.parent.glob("*.gz")
    outcome = replay(Trail([str(trail)]), content, observer=EveryRecord())
    wanted = {(a.metadata.rule_id, a.title, a.severity, a.event_count) for a in outcome.alerts}
    found = [kept.found for kept in store.find(AlertFilter(), 50)]
    assert {(a.rule_id, a.title, a.severity, a.event_count) for a in found} == wanted
    assert len(found) == len(outcome.alerts) >= 3
    for alert in found:
        events = store.events(alert.id, 0, 1000)
        assert events and len(events) <= alert.event_count
        if alert.detection_type != "SCHEDULED_RULE":
            assert len({event["eventID"] for event in events}) == len(events)
            assert alert.log_types == ["AWS.CloudTrail"]


def test_another_replay_finds_the_same_alerts_and_keeps_the_changes_of_people(lake, tmp_path):
    state = tmp_path / "state"
    shutil.copytree(settled(lake.state), state)  # as a killed server leaves it
    (trail,) = lake.state.parent.glob("*.gz")
    with closing(AlertStore(state)) as before:
        ids = [kept.found.id for kept in before.find(AlertFilter(), 50)]
        before.update(ids[:1], status="RESOLVED", assignee="someone")
        before.comment(ids[0], "seen", "PLAIN_TEXT")
    with fed(state, trail) as again:
        assert "new alerts: 0" in again.messages.lines[-1]
    with closing(AlertStore(state)) as after:
        assert [kept.found.id for kept in after.find(AlertFilter(), 50)] == ids
        kept = after.get(ids[0])
        assert (kept.status, kept.assignee) == ("RESOLVED", "someone")
        assert [comment.body for comment in after.comments(ids[0], 0, 9)] == ["seen"]
        assert after.events(ids[0], 0, 9)
    assert len(list(state.glob("lake-*"))) == 1


def test_only_the_owner_can_read_the_state(lake):
    for path in [settled(lake.state), *lake.state.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_lake_has_every_record_and_the_alerts_of_signals(lake, store):
    (folder,) = lake.state.glob("lake-*")
    (trail,) = lake.state.parent.glob("*.gz")
    records = json.loads(gzip.decompress(trail.read_bytes()))["Records"]
    with duckdb.connect() as db:
        for path in folder.glob("*.duckdb"):
            db.execute(f"ATTACH '{path}' (READ_ONLY)")

        def rows(sql):
            return db.execute(sql).fetchall()

        logs = "panther_logs.public.aws_cloudtrail"
        assert rows(f"SELECT count(DISTINCT eventID) FROM {logs}") == [
            (len({record["eventID"] for record in records}),)
        ]
        signals = "panther_signals.public.correlation_signals"
        rules = {rule for (rule,) in rows(f"SELECT DISTINCT p_rule_id FROM {signals}")}
        assert {FAILED_ATTEMPTS, CORRELATION, BLOCKLIST} < rules
        (alert,) = store.find(AlertFilter(detection_id=CORRELATION), 5)
        named = f"SELECT count(*) FROM {signals} WHERE p_alert_id = '{alert.found.id}'"
        assert rows(named) == [(alert.found.event_count,)]
        matches = rows(
            "SELECT p_alert_id, eventName, p_alert_severity, userIdentity->>'type' FROM"
            f" panther_rule_matches.public.aws_cloudtrail WHERE p_rule_id = '{BLOCKLIST}'"
        )
        (blocked,) = store.find(AlertFilter(detection_id=BLOCKLIST), 5)
        assert matches == [(blocked.found.id, "AssumeRole", "HIGH", "IAMUser")]
        rows("SELECT p_row_id, row FROM panther_rule_matches.public.scheduled_rules")


class TestContentCode:
    def rule(self, body: str) -> bytes:
        spec = {
            "AnalysisType": "rule",
            "RuleID": "Test.Rule",
            "Filename": "rule.py",
            "Enabled": True,
            "LogTypes": ["AWS.CloudTrail"],
            "Severity": "High",
        }
        return archive({"rule.yml": yaml.safe_dump(spec), "rule.py": textwrap.dedent(body)})

    def alerts(self, state):
        with closing(AlertStore(state)) as store:
            return store.find(AlertFilter(), 5), store.find(AlertFilter(kind=DETECTION_ERROR), 5)

    def test_content_code_does_not_see_the_secrets_of_the_server(self, tmp_path, monkeypatch):
        for name in ("PANTHER_API_TOKEN", "PANTHER_WEBHOOK_SECRET", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, TOKEN)
        body = f"""
            import os

            def rule(event):
                return True

            def title(event):
                return str([name for name, value in os.environ.items() if value == "{TOKEN}"])

            def dedup(event):
                return "one"
            """
        state, trail = tmp_path / "state", write_lines(tmp_path / "trail", [call("ListRoles")])
        with fed(state, trail, content=self.rule(body)):
            pass
        ((alert,), errors) = self.alerts(state)
        assert alert.found.title == "[]" and not errors

    def test_content_code_that_fails_creates_a_detection_error(self, tmp_path):
        body = "def rule(event):\n    raise ValueError('no')\n"
        state, trail = tmp_path / "state", write_lines(tmp_path / "trail", [call("ListRoles")])
        with fed(state, trail, content=self.rule(body)):
            pass
        alerts, (error,) = self.alerts(state)
        assert not alerts and "ValueError" in error.found.title

    def test_content_code_that_crashes_stops_the_replay_and_not_the_server(self, tmp_path):
        body = "import ctypes\ndef rule(event):\n    ctypes.string_at(0)\n"
        state, trail = tmp_path / "state", write_lines(tmp_path / "trail", [call("ListRoles")])
        options = {"content": self.rule(body), "until": "replay: failed"}
        with fed(state, trail, **options) as client:
            assert client.ask("{generalSettings {pantherVersion}}")
        assert self.alerts(state) == ([], [])
        assert not list(state.glob("lake-*")) and not list(state.glob(".upload-*"))


class TestStore:
    def test_new_events_of_a_known_alert_are_added_to_its_stored_ones(self, tmp_path):
        alert = replace(made_alert(1), id="one")
        with closing(AlertStore(tmp_path)) as store:
            store.take([alert], [("one", "1"), ("one", "2")], {})
            store.take([alert], [("one", "3"), ("one", "4")], {}, {"one": 1})
            assert store.events("one", 0, 9) == [1, 3, 4]
            with pytest.raises(ValueError, match="alert one has 3 of the 4 events that it keeps"):
                store.take([alert], [("one", "5")], {"new": True}, {"one": 4})
            assert store.events("one", 0, 9) == [1, 3, 4] and not store.fact("new")

    def test_a_store_of_another_version_is_refused(self, tmp_path):
        AlertStore(tmp_path).close()
        with sqlite3.connect(tmp_path / "alerts.sqlite") as db:
            db.execute("PRAGMA user_version = 99")
        with pytest.raises(ContentError, match=r"is of version 99, .* name another --state"):
            AlertStore(tmp_path)

    def test_a_store_that_is_not_a_database_is_refused(self, tmp_path):
        (tmp_path / "alerts.sqlite").write_text("something else" * 100)
        with pytest.raises(ContentError, match="is not a database of alerts"):
            AlertStore(tmp_path)

    def test_a_store_that_is_a_link_is_refused_and_not_followed(self, tmp_path):
        (tmp_path / "elsewhere").touch()
        (tmp_path / "alerts.sqlite").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ContentError, match="symbolic link"):
            AlertStore(tmp_path)
        assert (tmp_path / "elsewhere").read_bytes() == b""

    def test_the_store_of_an_instance_without_content_can_be_opened_again(self, tmp_path):
        Instance(tmp_path / "state").close()
        Instance(tmp_path / "state").close()


def test_serve_replays_with_the_content_of_earlier_uploads(lake, tmp_path):
    state = tmp_path / "state"
    shutil.copytree(settled(lake.state), state)  # as a killed server leaves it
    (trail,) = lake.state.parent.glob("*.gz")
    with server(state, "--replay", str(trail)) as running:
        line = ""
        while "new alerts" not in line:
            line = running.process.stderr.readline()
            assert line
    assert "replay: " in line and "new alerts: 0" in line


def test_serve_refuses_a_path_that_does_not_exist(tmp_path):
    command = [*COMMAND, "serve", "--state", tmp_path / "state", "--replay", tmp_path / "gone"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "gone: no such file, folder or bucket" in done.stderr
    assert not (tmp_path / "state").exists()
