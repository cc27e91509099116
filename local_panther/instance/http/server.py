"""The public API over HTTP, on loopback."""

import asyncio
import contextlib
import json
import logging
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiohttp import hdrs, web

from local_panther.instance.apis.graphql.api import Api
from local_panther.instance.apis.rest.router import Router
from local_panther.instance.http.access import MEDIA_TYPE, Access
from local_panther.instance.http.connections import Connections
from local_panther.instance.http.on_demand import PATH, backlog
from local_panther.instance.instance import Instance
from local_panther.instance.store.archive import MAX_ARCHIVE_BYTES
from local_panther.json_text import json_text

# Beyond the limit of an archive, so that the message for one that is too large names that limit.
MAX_REQUEST_BYTES = 8 * MAX_ARCHIVE_BYTES
BODY_SECONDS = 60.0
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
EMPTY = {hdrs.CONTENT_TYPE: MEDIA_TYPE}
END_SECONDS = 1.0  # for requests under way when the server stops

Background = Callable[[Instance], contextlib.AbstractContextManager[Any]]
Answer = Callable[[str, dict[str, Any] | None, str | None], dict[str, Any]]


class Pages(Protocol):
    """Pages for people, beside the APIs for programs: who may see them they decide themselves."""

    def has(self, path: str) -> bool:
        """Return whether a path is one of theirs."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that is meant for this server."""

    def close(self) -> None:
        """End what would go on for ever."""


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and for whom.

    Attributes:
        host: The address.
        port: 0 for any free one.
        token: What clients must send in X-API-Key.
        names: Names that clients may address it by, beside addresses, localhost and `host`.
        opened: A socket that listens there already.
        pages: Makes the pages for people, from the instance; None for a server without any.
    """

    host: str
    port: int
    token: str
    names: Iterable[str] = field(default=())
    opened: socket.socket | None = None
    pages: Callable[[Instance], Pages] | None = None


class _Handler:
    """Answers requests over HTTP.

    The content is opened after the port has been taken: only then it is clear that this server may
    touch it.
    """

    def __init__(self, access: Access, connections: Connections) -> None:
        self._access = access
        self._connections = connections
        self.answer: Answer | None = None
        self.rest: Router | None = None
        self.pages: Pages | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; of an API, no path is looked at before the access is granted."""
        pages = self.pages if self.pages and self.pages.has(request.path) else None
        refusal = self._access.foreign(request) if pages else self._access.refusal(request)
        if refusal:
            response = _refused(*refusal)
            response.force_close()  # its body, if there is one, is not waited for
            return response
        try:
            if pages:
                with self._connections.request(request.transport):
                    return await pages.answer(request)
            return await self._answered(request)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            logging.exception("a request failed")
            return _refused(500, "The server failed; its terminal says why")

    async def _answered(self, request: web.Request) -> web.Response:
        with self._connections.request(request.transport):
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    text = await request.text()
            except TimeoutError:
                return _refused(408, f"The request took more than {BODY_SECONDS:g} s")
            except web.HTTPRequestEntityTooLarge:
                return _refused(413, f"Request larger than {MAX_REQUEST_BYTES >> 20} MB")
            except (ValueError, LookupError):
                return _refused(400, "The request is not JSON")
            if _has_half_a_character(text):
                return _refused(400, "The request has half a character, which no file can hold")
            if request.path == PATH and request.method == hdrs.METH_POST:
                return await self._graphql(text)
            return await self._rest(request, text)

    async def _graphql(self, text: str) -> web.Response:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return _refused(400, "The request is not JSON")
        query, variables, operation = _request(body)
        if query is None:
            return _refused(400, "The request needs a query, and variables as an object")
        assert self.answer
        found = await asyncio.to_thread(self.answer, query, variables, operation)
        return web.json_response(found, dumps=json_text)

    async def _rest(self, request: web.Request, text: str) -> web.Response:
        assert self.rest
        query = {name: request.query.getall(name) for name in request.query}
        reply = await asyncio.to_thread(
            self.rest.answer, request.method, request.rel_url.raw_path, query, text
        )
        if reply.body is None:  # clients read JSON of it all the same
            return web.Response(status=reply.status, headers=EMPTY)
        return web.json_response(reply.body, status=reply.status, dumps=json_text)


def _quiet_logger() -> logging.Logger:
    """Return a logger that says nothing.

    aiohttp writes a traceback for whatever is no HTTP, with all that was sent: the token too.
    """
    logger = logging.getLogger("local_panther.http")
    logger.disabled = True
    return logger


def _has_half_a_character(text: str) -> bool:
    """Return whether JSON has half a surrogate pair in a text: Python reads it, and writes none."""
    if not SURROGATE.search(text):
        return False
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # which is told of where it is read
        return False
    return False


def _request(body: Any) -> tuple[str | None, dict[str, Any] | None, str | None]:
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return None, None, None
    variables, operation = body.get("variables"), body.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(operation, str | None):
        return None, None, None
    return body["query"], variables, operation


def _refused(status: int, message: str) -> web.Response:
    """Return a refusal in the forms of both APIs."""
    errors = {"errors": [{"message": message}], "message": message}
    return web.json_response(errors, status=status, reason=message)


async def serve(
    state: Path,
    listening: Listening,
    ready: Callable[[str], None],
    background: Background = contextlib.nullcontext,
    *,
    trust: bool = False,
) -> None:
    """Serve until cancelled.

    Args:
        state: Folder in which the content is kept.
        listening: Where and for whom.
        ready: Called with the URL once requests are taken.
        background: Makes what goes on beside the requests, from the instance.
        trust: Run uploaded code without the box.

    Raises:
        OSError: The address or the folder cannot be used.
        ContentError: The folder is in use, is not ours, or holds an invalid index.
    """
    host, connections = listening.host, Connections()
    handler = _Handler(Access(listening.token, (host, *listening.names)), connections)
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_route(hdrs.METH_ANY, r"/{path:[\s\S]*}", handler.handle)
    async with contextlib.AsyncExitStack() as stack:
        runner = web.AppRunner(
            app, shutdown_timeout=END_SECONDS, access_log=None, logger=_quiet_logger()
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server
        server = await asyncio.get_running_loop().create_server(
            connections.factory(runner.server),
            **_place(listening),
            backlog=backlog(),
            start_serving=False,
        )
        stack.callback(server.close)
        instance = Instance(state, trust=trust)
        stack.callback(instance.close)
        api = Api(instance)
        stack.callback(api.close)
        handler.answer, handler.rest = api.answer, Router(instance)
        if listening.pages:
            handler.pages = listening.pages(instance)
            stack.callback(handler.pages.close)
        await server.start_serving()
        port = server.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{port}{PATH}")
        stack.enter_context(background(instance))
        await asyncio.Event().wait()


def _place(listening: Listening) -> dict[str, Any]:
    if listening.opened:
        return {"sock": listening.opened}
    return {"host": listening.host, "port": listening.port}


def serve_until_stopped(
    state: Path,
    listening: Listening,
    ready: Callable[[str], None],
    signals: Iterable[int],
    background: Background = contextlib.nullcontext,
    *,
    trust: bool = False,
) -> None:
    """Serve until one of the signals arrives; see `serve`.

    Raises:
        OSError: The address or the folder cannot be used.
        ContentError: The folder is in use, is not ours, or holds an invalid index.
    """

    async def run() -> None:
        task = asyncio.current_task()
        assert task
        for number in signals:
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await serve(state, listening, ready, background, trust=trust)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run())


@contextlib.contextmanager
def running(
    state: Path,
    token: str,
    background: Background = contextlib.nullcontext,
    listening: socket.socket | None = None,
    *,
    pages: Callable[[Instance], Pages] | None = None,
    trust: bool = False,
) -> Iterator[str]:
    """Serve on a free port of loopback while the context lasts; gives the URL.

    Args:
        state: Folder in which the content is kept.
        token: What clients must send in X-API-Key.
        background: Makes what goes on beside the requests, from the instance.
        listening: A socket that listens on loopback already, in place of a free port.
        pages: See `Listening`.
        trust: Run uploaded code without the box.

    Raises:
        OSError: The folder cannot be used.
        ContentError: The folder is in use, is not ours, or holds an invalid index.
    """
    loop = asyncio.new_event_loop()
    url, is_ready, errors = list[str](), threading.Event(), list[BaseException]()

    def ready(found: str) -> None:
        url.append(found)
        is_ready.set()

    place = Listening("127.0.0.1", 0, token, opened=listening, pages=pages)
    task = loop.create_task(serve(state, place, ready, background, trust=trust))

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            errors.append(error)
        is_ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        is_ready.wait()
        if errors:
            raise errors[0]
        yield url[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
