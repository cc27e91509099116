"""An instance that listens at once, and starts when somebody connects.

Its libraries take longer to import than most tests take, and most tests ask it nothing.
"""

import contextlib
import resource
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

PATH = "/public/graphql"
MAX_CONNECTIONS = 400


def most_connections() -> int:
    """Return how many connections may be open: fewer where there are few descriptors.

    asyncio accepts half as many more (`backlog`) before it looks at any, and as many were just
    closed: the descriptors must be enough for all.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, descriptors * 2 // 5)


def backlog() -> int:
    """Return how many connections may wait to be accepted, and are accepted at a time."""
    return most_connections() // 2


@contextlib.contextmanager
def running_on_demand(state: Path, token: str) -> Iterator[str]:
    """Serve on a free port of loopback while the context lasts; gives the URL.

    Args:
        state: An empty folder, or one that an instance has kept its content in.
        token: What clients must send in X-API-Key.

    Raises:
        OSError: The port or the folder cannot be used.
        ContentError: The folder is in use, is not ours, or holds an invalid index.
    """
    errors: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0), backlog=backlog()) as listening:
        end, ended = socket.socketpair()

        def run() -> None:
            try:
                _serve_once_needed(listening, ended, state, token)
            except BaseException as error:
                errors.append(error)
                listening.close()  # who asks is refused, and does not wait

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        finally:
            end.close()
            thread.join()
            ended.close()
        if errors:
            raise errors[0]


def _serve_once_needed(
    listening: socket.socket, ended: socket.socket, state: Path, token: str
) -> None:
    if ended in select.select([listening, ended], [], [])[0]:
        return
    from local_panther.instance.http.server import running

    with running(state, token, listening=listening):
        ended.recv(1)
