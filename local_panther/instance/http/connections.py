"""Bounds what connections cost a server that have not shown the token.

aiohttp waits as long as a client likes for the headers of a first request. Here a connection has a
few seconds to send one, and where many are open, the oldest idle one gives way to a new one: a
client that sends its request at once is served, and so are hundreds that do it at the same time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from local_panther.instance.http.on_demand import most_connections

IDLE_SECONDS = 10.0  # without a request under way

Factory = Callable[[], asyncio.Protocol]


class Connections:
    """The open connections of a server.

    Attributes:
        idle_seconds: How long one may have no request under way.
        most: How many may be open; beyond it idle ones are closed.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS, most: int | None = None) -> None:
        """Start with none; `most` follows from the descriptors if it is omitted."""
        self.idle_seconds = idle_seconds
        self.most = most_connections() if most is None else most
        # Transports in the order in which they became idle, with what closes them in time.
        self._idle: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._open: set[asyncio.BaseTransport] = set()

    def factory(self, make: Factory) -> Factory:
        """Return a factory of the same protocols, whose connections are watched."""
        return lambda: _Watched(make(), self)

    @contextlib.contextmanager
    def request(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Let a connection stay as long as a request of it is under way."""
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
        """Take a new connection."""
        self._open.add(transport)
        self._wait(transport)
        while len(self._open) > self.most and self._idle:
            self._end(next(iter(self._idle)))

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
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
    """Hands everything to a protocol, and the beginning and end of its connection to the watch."""

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
