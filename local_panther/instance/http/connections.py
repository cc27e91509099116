"""Limits the number of open connections, and the time that they may be idle.

aiohttp waits without limit for the headers of a first request, so clients without a token could use
up all connections. Here a connection has a few seconds to send a request, and at the limit the
connection that has been idle longest is closed for a new one. Clients that send their requests at
once are served, also hundreds at the same time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from local_panther.instance.http.on_demand import most_connections

IDLE_SECONDS = 10.0  # longest time without a request

Factory = Callable[[], asyncio.Protocol]


class Connections:
    """The open connections of a server.

    Attributes:
        idle_seconds: Longest time that a connection may have no request.
        most: Highest number of open connections; above it, idle ones are closed.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS, most: int | None = None) -> None:
        """Start without connections; `most` defaults to what the limit of descriptors allows."""
        self.idle_seconds = idle_seconds
        self.most = most_connections() if most is None else most
        # Transports in the order in which they became idle, with the timers that close them.
        self._idle: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._open: set[asyncio.BaseTransport] = set()

    def factory(self, make: Factory) -> Factory:
        """Wrap a factory of protocols, so that their connections are counted and limited."""
        return lambda: _Watched(make(), self)

    @contextlib.contextmanager
    def request(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Keep a connection open while the context, which handles a request of it, lasts."""
        if transport is None:
            yield
            return
        self._busy(transport)
        try:
            yield
        finally:
            if transport in self._open:
                self._wait(transport)

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """Add a new connection, and close idle ones above the limit."""
        self._open.add(transport)
        self._wait(transport)
        while len(self._open) > self.most and self._idle:
            self._end(next(iter(self._idle)))

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Remove a closed connection."""
        self._open.discard(transport)
        self._busy(transport)

    def _wait(self, transport: asyncio.BaseTransport) -> None:
        loop = asyncio.get_running_loop()
        self._idle[transport] = loop.call_later(self.idle_seconds, self._end, transport)

    def _busy(self, transport: asyncio.BaseTransport) -> None:
        timer = self._idle.pop(transport, None)
        if timer:
            timer.cancel()

    def _end(self, transport: asyncio.BaseTransport) -> None:
        self.closed(transport)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class _Watched(asyncio.Protocol):
    """A protocol that passes all calls on, and reports when its connection opens and closes."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._connections = connections
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)
        self._connections.opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport:
            self._connections.closed(self._transport)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
