"""States of earlier versions are upgraded, those of later ones refused; backups are complete."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from local_panther.errors import ContentError
from local_panther.instance.instance import Instance
from local_panther.instance.store.index import INDEX, VERSION
from local_panther.instance.store.library import Library
from local_panther.instance.store.sqlite import SqliteDatabase
from tests.builders.content import write_lines
from tests.builders.events import REPO, call
from tests.instance.conftest import archive
from tests.instance.servers import eventually, server
from tests.instance.test_uploads import BODY, RULE, one_rule

pytestmark = pytest.mark.attack("state")


def state_of_0_1_0(folder):
    """Write a state folder as 0.1.0 wrote it: no version, no times, a folder without a dot."""
    rules = folder / "content-1" / "rules"
    rules.mkdir(parents=True)
    (rules / "Test.Rule.yml").write_text(json.dumps(RULE | {"Filename": "Test.Rule.py"}))
    (rules / "Test.Rule.py").write_text(BODY)
    files = {"spec": "rules/Test.Rule.yml", "body": "rules/Test.Rule.py"}
    item = {"kind": "rule", "digest": "0" * 64, **files}
    index = {"content": "content-1", "items": {"Test.Rule": item}}
    (folder / INDEX).write_text(json.dumps(index, indent=1))
    return folder


def test_a_state_of_0_1_0_is_read_and_upgraded_at_the_next_change(tmp_path):
    state = state_of_0_1_0(tmp_path / "state")
    with closing(Instance(state)) as instance:
        assert list(instance.library.items) == ["Test.Rule"]
        assert instance.library.body("Test.Rule") == BODY
        assert instance.library.delete(["Test.Rule"], queries=False, dry_run=False)
    assert json.loads((state / INDEX).read_text())["version"] == VERSION
    with closing(Instance(state)) as instance:
        assert not instance.library.items


@pytest.mark.parametrize("version", [VERSION + 1, 99])
def test_a_later_version_is_refused_by_number_and_left_unchanged(tmp_path, version):
    state = state_of_0_1_0(tmp_path / "state")
    index = json.loads((state / INDEX).read_text()) | {"version": version}
    (state / INDEX).write_text(json.dumps(index))
    with pytest.raises(ContentError, match=f"version {version}, .* upgrade it, or name another"):
        Library(state)
    assert json.loads((state / INDEX).read_text()) == index and (state / "content-1").is_dir()


@pytest.mark.parametrize("version", [0, -1, "2", None, 1.5, True])
def test_an_invalid_version_is_an_invalid_index(tmp_path, version):
    state = state_of_0_1_0(tmp_path / "state")
    index = json.loads((state / INDEX).read_text()) | {"version": version}
    (state / INDEX).write_text(json.dumps(index))
    with pytest.raises(ContentError, match="invalid index"):
        Library(state)


FIRST = "CREATE TABLE t (a)"
STEPS = {1: "ALTER TABLE t ADD COLUMN b", 2: "UPDATE t SET b = a"}


class TestDatabase:
    def opened(self, path, version, steps=STEPS):
        return closing(SqliteDatabase(path, FIRST, version, steps))

    def test_a_database_of_an_earlier_version_is_upgraded_step_by_step(self, tmp_path):
        with self.opened(tmp_path / "db", 1) as first, first.change() as change:
            change.execute("INSERT INTO t VALUES (7)")
        for _ in range(2):
            with self.opened(tmp_path / "db", 3) as third:
                assert third.rows("SELECT a, b FROM t") == [(7, 7)]
                assert third.rows("PRAGMA user_version") == [(3,)]

    def test_a_failed_step_of_an_upgrade_leaves_the_earlier_version(self, tmp_path):
        with self.opened(tmp_path / "db", 1):
            pass
        with pytest.raises(ContentError):
            self.opened(tmp_path / "db", 2, {1: "CREATE TABLE u (a); ALTER TABLE missing ADD b"})
        with self.opened(tmp_path / "db", 1) as first:
            assert first.rows("SELECT name FROM sqlite_master") == [("t",)]

    def test_databases_of_later_versions_or_without_a_step_are_refused(self, tmp_path):
        with self.opened(tmp_path / "db", 2):
            pass
        for version, steps in ((3, {}), (1, {})):
            with pytest.raises(ContentError, match="is of version 2"):
                self.opened(tmp_path / "db", version, steps)


def commands() -> list[str]:
    """Return the commands of the section on backups."""
    page = (REPO / "docs" / "serve.md").read_text().split("## Backup")[1]
    return page.split("```sh\n")[1].split("```")[0].splitlines()


@pytest.mark.process
def test_a_backup_of_a_running_server_is_complete(tmp_path):
    trail = write_lines(tmp_path / "trail", [call("ListRoles")])
    with server(tmp_path / ".local-panther", "--replay", str(trail)) as running:
        body = "def rule(event):\n    return True\n"
        assert running.client.upload(archive(one_rule(body=body)))["status"] == "COMPLETED"
        assert eventually(lambda: running.client.get("/alerts")["results"], 60)
        (alert,) = running.client.get("/alerts")["results"]
        changed = {"ids": [alert["id"]], "status": "TRIAGED"}
        assert running.client.rest("PATCH", "/alerts", changed)[0] == 204
        for line in commands():
            if line.startswith("sqlite3 ") and not shutil.which("sqlite3"):
                _, path, statement = line.split(" ", 2)
                with closing(sqlite3.connect(tmp_path / path)) as database:
                    text = statement.strip('"').replace("backup/", f"{tmp_path}/backup/")
                    database.execute(text)
            else:
                subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    with server(tmp_path / "backup") as running:
        (kept,) = running.client.get("/alerts")["results"]
        assert (kept["id"], kept["status"]) == (alert["id"], "TRIAGED")
        assert [rule["id"] for rule in running.client.get("/rules")["results"]] == ["Test.Rule"]
