"""`local-panther serve`: how it starts, and how it stops during an upload."""

import os
import signal
import time

import pytest

from tests.builders.content import write_rules
from tests.builders.replays import started
from tests.instance.commands import BIN, run

pytestmark = pytest.mark.process

# It is imported by the check of an upload, which the stop then interrupts.
SLOW = "import time\ntime.sleep(1)\ndef rule(_):\n    return True\n"


def start(folder, *arguments, token=None):
    command = [BIN / "local-panther", "serve", "--port", "0", *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "PANTHER_API_TOKEN"}
    environment |= {"PANTHER_API_TOKEN": token} if token else {}
    return started(command, cwd=folder, env=environment, text=True)


def upload_to(process, state, content):
    """Start an upload, and return while the server is working on it."""
    host = process.stdout.readline().strip().split("=", 1)[1]
    environment = os.environ | {"PANTHER_API_HOST": host, "PANTHER_API_TOKEN": "token"}
    command = [BIN / "panther_analysis_tool", "upload", "--max-retries", "0"]
    command += ["--out", content.parent]
    upload = started(command, cwd=content, env=environment, text=True)
    deadline = time.monotonic() + 60
    while not list(state.glob(".upload-*/unpacked/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return upload


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_during_an_upload_keeps_the_whole_upload_or_nothing(tmp_path, stop):
    content = write_rules(tmp_path / "content", slow=SLOW)
    state = tmp_path / "kept"
    process = start(tmp_path, "--state", "kept", token="token")
    upload = upload_to(process, state, content)
    process.send_signal(stop)
    process.communicate(timeout=30)
    upload.communicate(timeout=60)
    left = {path.name for path in state.glob("[!a]*")}  # without the alerts
    assert "state.json" in left or upload.returncode != 0
    if stop == signal.SIGINT:
        assert process.returncode == 0 and left in (set(), {"state.json", ".content-1"})

    process = start(tmp_path, "--state", "kept", token="token")
    upload = upload_to(process, state, content)
    out, _ = upload.communicate(timeout=60)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert "Total: 1" in out and upload.returncode == 0
    assert len(list(state.glob(".content-*"))) == 1 and len(list(state.glob("[!a]*"))) == 2


def test_a_given_token_is_not_printed(tmp_path):
    process = start(tmp_path, token="my token")
    assert process.stdout.readline().startswith("export PANTHER_API_HOST=")
    process.send_signal(signal.SIGINT)
    assert "my token" not in "".join(process.communicate(timeout=20))


def test_two_lines_to_copy_are_printed_and_the_server_stops_cleanly(tmp_path):
    process = start(tmp_path, "--state", "kept")
    lines = [process.stdout.readline() for _ in range(2)]
    settings = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
    assert settings["PANTHER_API_HOST"].startswith("http://127.0.0.1:")
    done = run("panther_analysis_tool", "check-connection", cwd=tmp_path, **settings)
    assert done.returncode == 0
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=20)
    assert process.returncode == 0 and "stopped; uploads are in kept" in messages
    assert "Traceback" not in messages


def test_a_missing_token_is_generated(tmp_path):
    process = start(tmp_path)
    process.stdout.readline()
    token = process.stdout.readline().split("=")[1].strip()
    process.terminate()
    process.communicate(timeout=20)
    assert len(token) >= 32


def test_serve_on_a_port_in_use_exits_with_2(tmp_path, instance):
    port = instance.url.split(":")[2].split("/")[0]
    done = run("local-panther", "serve", "--port", port, cwd=tmp_path)
    assert done.returncode == 2 and f"port {port}" in done.stderr
