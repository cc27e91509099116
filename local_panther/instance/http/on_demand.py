"""Starts an instance only when a client connects; the port is open from the beginning.

Most test runs of panther_analysis_tool send no request, and importing the server would take longer
than such a run.
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
    """Return how many connections may be open: fewer if the limit of descriptors is low.

    Besides these, asyncio accepts half as many (`backlog`) before it handles any, and as many may
    have been closed just now; the descriptors must suffice for all of them.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, descriptors * 2 // 5)


def backlog() -> int:
    """Return how many connections may wait to be accepted; asyncio accepts as many at once."""
    return most_connections() // 2


@contextlib.contextmanager
def running_on_demand(state: Path, token: str) -> Iterator[str]:
    """Serve on a free port of loopback while the context lasts; yield the URL.

    Args:
        state: A state folder, or an empty folder.
        token: The value that clients must send in X-API-Key.

    Raises:
        OSError: The port or the folder cannot be used.
        ContentError: The folder is in use, is not a state folder, or holds an invalid index.
    """
    errors: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0), backlog=backlog()) as listening:
        end, ended = socket.socketpair()

        def run() -> None:
            try:
                _serve_once_needed(listening, ended, state, token)
            except BaseException as error:
                errors.append(error)
                listening.close()  # so that clients are refused instead of waiting

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
