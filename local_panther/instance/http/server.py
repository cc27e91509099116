"""The HTTP server of an instance."""

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

# Far above the limit of an archive, so that the error for a large archive names that limit.
MAX_REQUEST_BYTES = 8 * MAX_ARCHIVE_BYTES
BODY_SECONDS = 60.0
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
EMPTY = {hdrs.CONTENT_TYPE: MEDIA_TYPE}
END_SECONDS = 1.0  # for open requests when the server stops

Background = Callable[[Instance], contextlib.AbstractContextManager[Any]]
Answer = Callable[[str, dict[str, Any] | None, str | None], dict[str, Any]]


class Pages(Protocol):
    """Pages for people. They decide by themselves who may see them."""

    def has(self, path: str) -> bool:
        """Return whether a path belongs to the pages."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that is meant for this server."""

    def close(self) -> None:
        """End responses that stay open."""


@dataclass(frozen=True)
class Listening:
    """The address of a server, and what it accepts.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any free one.
        token: The value that clients must send in X-API-Key.
        names: Host names that clients may use besides IP addresses, localhost and `host`.
        opened: A socket that listens already.
        pages: Returns the pages for people of an instance; None for a server without pages.
    """

    host: str
    port: int
    token: str
    names: Iterable[str] = field(default=())
    opened: socket.socket | None = None
    pages: Callable[[Instance], Pages] | None = None


class _Handler:
    """The handler of HTTP requests.

    Its attributes are set once the state folder is open, which must not happen before the port is
    bound: a second server on the same port must not touch the folder.
    """

    def __init__(self, access: Access, connections: Connections) -> None:
        self._access = access
        self._connections = connections
        self.answer: Answer | None = None
        self.rest: Router | None = None
        self.pages: Pages | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request. Access to the APIs is checked before their paths are."""
        pages = self.pages if self.pages and self.pages.has(request.path) else None
        refusal = self._access.foreign(request) if pages else self._access.refusal(request)
        if refusal:
            response = _refused(*refusal)
            response.force_close()  # do not wait for a body
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
            if _has_lone_surrogate(text):
                return _refused(400, "The request has a lone surrogate, which no file can hold")
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
        if reply.body is None:  # clients expect the media type also without a body
            return web.Response(status=reply.status, headers=EMPTY)
        return web.json_response(reply.body, status=reply.status, dumps=json_text)


def _quiet_logger() -> logging.Logger:
    """Return a logger that is disabled.

    aiohttp logs a traceback for every invalid request, with all that was sent, also the token.
    """
    logger = logging.getLogger("local_panther.http")
    logger.disabled = True
    return logger


def _has_lone_surrogate(text: str) -> bool:
    """Return whether JSON has a lone surrogate: Python can parse it, but not encode it."""
    if not SURROGATE.search(text):
        return False
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # reported where the text is parsed
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
    """Return an error response that clients of both APIs understand."""
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
        state: The state folder.
        listening: The address, and what is accepted there.
        ready: Called with the URL once requests are accepted.
        background: Returns a context manager that is entered while the server runs, for the tasks
            besides requests.
        trust: Run uploaded code without the box.

    Raises:
        OSError: The address or the folder cannot be used.
        ContentError: The folder is in use, is not a state folder, or holds an invalid index.
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
            **_address(listening),
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


def _address(listening: Listening) -> dict[str, Any]:
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
        ContentError: The folder is in use, is not a state folder, or holds an invalid index.
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
    """Serve on a free port of loopback while the context lasts; yield the URL.

    Args:
        state: The state folder.
        token: The value that clients must send in X-API-Key.
        background: See `serve`.
        listening: A socket that listens on loopback already, instead of a free port.
        pages: See `Listening`.
        trust: Run uploaded code without the box.

    Raises:
        OSError: The folder cannot be used.
        ContentError: The folder is in use, is not a state folder, or holds an invalid index.
    """
    loop = asyncio.new_event_loop()
    url, is_ready, errors = list[str](), threading.Event(), list[BaseException]()

    def ready(found: str) -> None:
        url.append(found)
        is_ready.set()

    address = Listening("127.0.0.1", 0, token, opened=listening, pages=pages)
    task = loop.create_task(serve(state, address, ready, background, trust=trust))

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
