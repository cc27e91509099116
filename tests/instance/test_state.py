"""The state folder is private and locked, and survives kills, links and a full disk."""

import fcntl
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local_panther.errors import ContentError
from local_panther.instance.store.index import stored_content
from local_panther.instance.store.library import Library
from tests.instance.conftest import archive
from tests.instance.servers import COMMAND, Server, server
from tests.instance.test_uploads import BODY, RULE, one_rule
from tests.scale import examples

pytestmark = [pytest.mark.attack("state"), pytest.mark.process]


def rule(name: str, note: str = "") -> bytes:
    return archive(one_rule(f"{BODY}# {note}\n", RuleID=name))


def stored(state: Path) -> dict:
    return json.loads((state / "state.json").read_bytes())["items"]


class TestKilled:
    @pytest.mark.attack("kills")
    def test_a_kill_during_uploads_loses_no_upload_that_was_answered(
        self, tmp_path, record_property
    ):
        """Kill servers of one state at random moments, and start the next one after each."""
        state = tmp_path / "state"
        moments = random.Random(12)
        answered: set[str] = set()
        running = Server(state)
        started = time.monotonic()
        assert running.client.upload(rule("first"))["status"] == "COMPLETED"
        seconds = time.monotonic() - started
        record_property("tried", tries := examples(6, 200))
        for number in range(tries):
            name = f"Rule.{number}"
            timer = threading.Timer(moments.uniform(0, 1.3 * seconds), running.process.kill)
            timer.start()
            try:
                if running.client.upload(rule(name))["status"] == "COMPLETED":
                    answered.add(name)
            except OSError:  # it was killed before it answered
                pass
            timer.join()
            running.process.communicate(timeout=30)
            running = Server(state)
            items = stored(state) if (state / "state.json").exists() else {}
            assert answered <= items.keys()
            for item_id, item in items.items():
                files = stored_content(state) / item["spec"], stored_content(state) / item["body"]
                assert all(path.is_file() for path in files), item_id
            left = {p.name for p in state.iterdir() if not p.name.startswith("alerts.sqlite")}
            assert left <= {"state.json", stored_content(state).name}
        assert running.end()[0] == 0

    def test_a_kill_between_any_two_steps_of_a_change_leaves_the_state_before_or_after(
        self, tmp_path
    ):
        """Kill a process before each call that renames or removes a file, or changes a folder."""
        script = (
            "import os, sys; from pathlib import Path\n"
            "from local_panther.instance.store.state_folder import *\n"
            "count = [int(sys.argv[2])]\n"
            "def hook(event, args):\n"
            "    if event in ('os.rename', 'os.mkdir', 'os.rmdir', 'os.remove'):\n"
            "        count[0] -= 1\n"
            "        count[0] or os.kill(os.getpid(), 9)\n"
            "item = StoredItem('rule', 'rules/b.yml', '', '')\n"
            "store = StateFolder(Path(sys.argv[1]) / 'state')\n"
            "sys.addaudithook(hook)\n"
            "store.add(Path(sys.argv[1]) / 'candidate', {'b': item})\n"
        )
        (tmp_path / "candidate" / "rules").mkdir(parents=True)
        (tmp_path / "candidate" / "rules" / "b.yml").write_text("RuleID: b")
        library = Library(tmp_path / "first")
        assert not library.upload(_base64(rule("a"))).problems
        library.close()
        seen = set()
        for step in range(1, 40):
            shutil.rmtree(tmp_path / "state", ignore_errors=True)
            shutil.copytree(tmp_path / "first", tmp_path / "state")
            command = [sys.executable, "-c", script, str(tmp_path), str(step)]
            killed = subprocess.run(command, capture_output=True, text=True).returncode
            found = Library(tmp_path / "state")
            seen.add(frozenset(found.items))
            assert {"a"} <= set(found.items) <= {"a", "b"}
            assert all(found.spec(item_id) for item_id in found.items)
            found.close()
            if killed == 0:
                break
        assert killed == 0 and seen == {frozenset("a"), frozenset("ab")}


def _base64(packed: bytes) -> str:
    import base64

    return base64.b64encode(packed).decode()


class TestTwoServers:
    def test_a_second_server_on_a_state_is_refused_and_changes_nothing(self, tmp_path):
        state = tmp_path / "state"
        with server(state) as first:
            found: list = []
            body = f"import time\ntime.sleep(3)\n{BODY}"
            upload = threading.Thread(
                target=lambda: found.append(first.client.upload(archive(one_rule(body))))
            )
            upload.start()
            while not list(state.glob(".upload-*")):
                time.sleep(0.01)
            done = run_serve(tmp_path, "--state", state, "--port", "0")
            assert done.returncode == 2 and "in use by another local-panther serve" in done.stderr
            upload.join()
            assert found[0]["status"] == "COMPLETED"
        assert set(stored(state)) == {"Test.Rule"}

    def test_a_server_whose_port_is_in_use_leaves_the_state_unchanged(self, tmp_path):
        state = tmp_path / "other"
        state.mkdir()
        (state / ".upload-x").mkdir()
        with server(tmp_path / "state") as first:
            done = run_serve(tmp_path, "--state", state, "--port", first.port)
            assert done.returncode == 2 and f"port {first.port}" in done.stderr
            assert "Traceback" not in done.stderr
        assert [path.name for path in state.iterdir()] == [".upload-x"]

    def test_a_state_can_be_opened_as_soon_as_its_server_was_killed(self, tmp_path):
        for _ in range(3):
            with server(tmp_path / "state") as running:
                assert running.client.upload(rule("a"))["status"] == "COMPLETED"
                running.process.kill()
                running.process.communicate()

    def test_a_state_is_opened_once_the_last_worker_of_a_killed_server_has_exited(self, tmp_path):
        state = tmp_path / "state"
        Library(state).close()
        held = os.open(state, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.3, os.close, [held]).start()
        Library(state).close()


def run_serve(folder: Path, *arguments) -> subprocess.CompletedProcess:
    command = [*COMMAND, "serve", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


class TestPrivate:
    @pytest.mark.parametrize("mask", [0, 0o022])
    def test_only_the_owner_can_read_a_state(self, tmp_path, mask):
        before = os.umask(mask)
        try:
            library = Library(tmp_path / "state")
            assert not library.upload(_base64(rule("a"))).problems
            library.close()
        finally:
            os.umask(before)
        paths = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
        assert len(paths) == 6
        for path in paths:
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected, path

    def test_a_state_folder_that_others_can_read_is_made_private(self, tmp_path):
        (tmp_path / "state").mkdir(mode=0o777)
        Library(tmp_path / "state").close()
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


class TestLinks:
    """Links in a cloned repository, in place of the state folder or its files."""

    def test_a_state_folder_that_is_a_link_is_refused(self, tmp_path):
        (tmp_path / "target").mkdir()
        (tmp_path / "state").symlink_to("target")
        with pytest.raises(ContentError, match="is a symbolic link"):
            Library(tmp_path / "state")

    def test_an_index_that_is_a_link_is_refused_and_stays(self, tmp_path):
        target = tmp_path / "precious"
        target.write_text("precious")
        state = tmp_path / "state"
        state.mkdir()
        (state / "state.json").symlink_to(target)
        with pytest.raises(ContentError, match="invalid index"):
            Library(state)
        assert target.read_text() == "precious" and (state / "state.json").is_symlink()

    @pytest.mark.process
    @pytest.mark.parametrize("name", [".content-1", ".content-7", ".upload-x", ".state.json"])
    def test_links_beside_the_index_are_not_followed(self, tmp_path, name):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "mine").write_text("mine")
        library = Library(tmp_path / "state")
        assert not library.upload(_base64(rule("a"))).problems
        library.close()
        path = tmp_path / "state" / name
        if name == ".content-1":  # the folder in use
            shutil.move(path, outside / "content")
            path.symlink_to(outside / "content")
            with pytest.raises(ContentError, match="is a link"):
                Library(tmp_path / "state")
        else:
            path.symlink_to(outside)
            library = Library(tmp_path / "state")
            assert not library.upload(_base64(rule("b"))).problems
            library.close()
            assert path.is_symlink()
        assert (outside / "mine").read_text() == "mine"


INDEXES = {
    "names a folder outside": {"content": "../outside", "items": {}},
    "names an absolute folder": {"content": "/tmp", "items": {}},
    "names no folder of content": {"content": "", "items": {}},
    "names the folder itself": {"content": ".", "items": {}},
    "holds an item outside": {
        "content": "content-1",
        "items": {"a": {"kind": "rule", "spec": "../../outside/a.yml", "body": "", "digest": ""}},
    },
    "holds an item that is missing": {
        "content": "content-1",
        "items": {"a": {"kind": "rule", "spec": "rules/a.yml", "body": "", "digest": ""}},
    },
    "belongs to another program": {"version": 3, "name": "terraform"},
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_an_invalid_index_is_refused_and_nothing_is_deleted(tmp_path, index):
    state, outside = tmp_path / "state", tmp_path / "outside"
    for folder in (state / "content-1", state / "content-5", state / ".upload-x", outside):
        folder.mkdir(parents=True)
        (folder / "a.yml").write_text("mine")
    (state / "state.json").write_text(json.dumps(index))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ContentError, match="invalid index"):
        Library(state)
    with pytest.raises(ContentError, match="invalid index"):
        stored_content(state)
    assert sorted(tmp_path.rglob("*")) == before


class TestFullDisk:
    """A real file system of 3 MB; skipped if the system does not allow mounting it."""

    SCRIPT = """
import base64, json, sys
from pathlib import Path
from local_panther.instance.store.library import Library
state = Path(sys.argv[1]) / "state"
archives = json.loads(Path(sys.argv[2]).read_text())
library = Library(state)
found = [[str(problem) for problem in library.upload(data).problems] for data in archives]
print(json.dumps([found, sorted(library.items)]))
library.close()
"""

    @pytest.mark.process
    def test_an_upload_that_does_not_fit_on_the_disk_is_refused_and_the_next_is_stored(
        self, tmp_path
    ):
        disk = tmp_path / "disk"
        disk.mkdir()
        (tmp_path / "script.py").write_text(self.SCRIPT)
        padding = "# " + "x" * 2_500_000
        large = archive(one_rule(BODY + padding, RuleID="large"))
        archives = [_base64(packed) for packed in (rule("a"), large, rule("b"))]
        (tmp_path / "archives.json").write_text(json.dumps(archives))
        mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        mount = f"mount -t tmpfs -o size=3m none {disk}"
        if subprocess.run([*mounted, mount], capture_output=True).returncode:
            pytest.skip("this system does not allow mounting a file system")
        run = f"{mount} && exec {sys.executable} {tmp_path / 'script.py'} {disk} "
        run += str(tmp_path / "archives.json")
        done = subprocess.run([*mounted, run], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        (first, second, third), items = json.loads(done.stdout)
        assert first == third == [] and items == ["a", "b"]
        assert "No space left on device" in second[0]


@pytest.mark.process
def test_a_state_stands_for_its_stored_content_and_another_folder_for_itself(tmp_path):
    library = Library(tmp_path / "state")
    assert not library.upload(_base64(rule(RULE["RuleID"]))).problems
    library.close()
    assert (stored_content(tmp_path / "state") / "rules" / "Test.Rule.py").is_file()
    assert stored_content(tmp_path) == tmp_path
