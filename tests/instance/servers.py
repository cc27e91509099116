"""Real servers in processes of their own, for tests that attack or kill them."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.builders.environments import clean_environment
from tests.builders.replays import started
from tests.instance.conftest import Client

COMMAND = [sys.executable, "-m", "local_panther"]
TOKEN = "test-token"


class Server:
    """A process of `local-panther serve` on a free port of loopback."""

    def __init__(self, state: Path, *arguments: str, **environment: str) -> None:
        variables = clean_environment(**{"PANTHER_API_TOKEN": TOKEN} | environment)
        command = [*COMMAND, "serve", "--port", "0", "--state", state, *arguments]
        self.process = started(command, cwd=state.parent, env=variables, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.url = line.strip().split("=", 1)[1]
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.client = Client(self.url, state)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Stop the server; return its exit status and its messages."""
        self.process.send_signal(number)
        _, messages = self.process.communicate(timeout=30)
        return self.process.returncode, messages


@contextlib.contextmanager
def server(state: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    running = Server(state, *arguments, **environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


# Headers of requests that are meant for another server, or come from another site
FOREIGN: tuple[dict[str, str], ...] = (
    {"Host": "evil.example"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
)


def eventually(condition: Callable[[], object], seconds: float = 10) -> bool:
    """Wait for a condition; return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def is_running(process: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def processes_with(text: str) -> list[int]:
    """Return the processes with a text on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text in path.read_text(errors="replace") and is_running(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found
