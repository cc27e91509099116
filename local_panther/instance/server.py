"""The public API over HTTP, on loopback."""

import asyncio
import contextlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from local_panther.instance.api import Api
from local_panther.instance.archive import MAX_ARCHIVE_BYTES
from local_panther.instance.library import Library

PATH = "/public/graphql"
TOKEN_HEADER = "X-API-Key"
# Beyond the limit of an archive, so that one that is too large is told so by name.
MAX_REQUEST_BYTES = 8 * MAX_ARCHIVE_BYTES


def make_app(library: Library, token: str) -> web.Application:
    """Return the web application of an instance.

    Args:
        library: Where its content is.
        token: What clients must send in X-API-Key.
    """
    api = Api(library)

    async def handle(request: web.Request) -> web.Response:
        sent = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(sent.encode("utf-8", "replace"), token.encode()):
            return _refused(403, "Forbidden: the API token is missing or wrong")
        try:
            body = json.loads(await request.text())
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, f"Request larger than {MAX_REQUEST_BYTES >> 20} MB")
        except (ValueError, LookupError, RecursionError):
            return _refused(400, "The request is not JSON")
        query, variables, operation = _request(body)
        if query is None:
            return _refused(400, "The request needs a query, and variables as an object")
        answer = await asyncio.to_thread(api.answer, query, variables, operation)
        return web.json_response(answer)

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_post(PATH, handle)

    async def close(_: web.Application) -> None:
        api.close()

    app.on_shutdown.append(close)
    return app


def _request(body: Any) -> tuple[str | None, dict[str, Any] | None, str | None]:
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return None, None, None
    variables, operation = body.get("variables"), body.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(operation, str | None):
        return None, None, None
    return body["query"], variables, operation


def _refused(status: int, message: str) -> web.Response:
    errors = {"errors": [{"message": message}]}
    return web.json_response(errors, status=status, reason=message)


async def serve(
    state: Path, host: str, port: int, token: str, ready: Callable[[str], None]
) -> None:
    """Serve until cancelled.

    Args:
        state: Folder in which the content is kept.
        host: Address to listen on.
        port: 0 for any free one.
        token: What clients must send in X-API-Key.
        ready: Called with the URL once requests are taken.

    Raises:
        OSError: The address cannot be used.
    """
    runner = web.AppRunner(make_app(Library(state), token))
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        used_port = runner.addresses[0][1]
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{used_port}{PATH}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def running(state: Path, token: str) -> Iterator[str]:
    """Serve on a free port of loopback while the context lasts; gives the URL."""
    loop = asyncio.new_event_loop()
    url, is_ready = [], threading.Event()

    def ready(found: str) -> None:
        url.append(found)
        is_ready.set()

    task = loop.create_task(serve(state, "127.0.0.1", 0, token, ready))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        is_ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_ready.wait()
    try:
        yield url[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
