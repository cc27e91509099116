"""An instance that listens at once, and starts when somebody connects.

Its libraries take longer to import than most tests take, and most tests ask it nothing.
"""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

PATH = "/public/graphql"
MAX_CONNECTIONS = 100
# asyncio accepts as many at once before it looks at any. They come on top of those that are open,
# and of as many that were just closed: 256 descriptors must be enough for all.
BACKLOG = MAX_CONNECTIONS // 2


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
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listening:
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
    from local_panther.instance.server import running

    with running(state, token, listening=listening):
        ended.recv(1)
