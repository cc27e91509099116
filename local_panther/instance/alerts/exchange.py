"""One request over HTTP with a deadline for all of it, which can be stopped at any moment."""

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit


class Exchange:
    """A request and its answer.

    A time limit of a socket is one for each read: who answers a byte now and then holds it for
    ever. So a watch ends the connection itself.
    """

    def __init__(self, seconds: float) -> None:
        """Prepare.

        Args:
            seconds: How long all of it may take.
        """
        self._seconds = seconds
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._is_over = False

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], most: int
    ) -> tuple[int, str, bytes]:
        """Send a request to an address and to no other: no proxy, no redirect.

        Args:
            url: The address.
            body: What is sent.
            headers: Beside those that HTTP needs.
            most: Bytes of the answer's body that are read.

        Returns:
            The status, its reason, and what was read of the body.

        Raises:
            TimeoutError: It took too long, or was stopped.
            OSError, ValueError, http.client.HTTPException: There is no such answer.
        """
        watch = threading.Timer(self._seconds, self.stop)
        watch.daemon = True
        watch.start()
        try:
            return self._post(urlsplit(url), body, headers, most)
        except (OSError, http.client.HTTPException) as error:
            if self._is_over:
                raise TimeoutError(f"no answer within {self._seconds:g} s") from error
            raise
        finally:
            watch.cancel()
            with self._lock:
                if self._connection:
                    self._connection.close()
                self._connection = None

    def stop(self) -> None:
        """End it now."""
        with self._lock:
            self._is_over = True
            if self._connection:
                with suppress(OSError):  # it has ended already
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _post(
        self, parts: SplitResult, body: bytes, headers: Mapping[str, str], most: int
    ) -> tuple[int, str, bytes]:
        host, is_secure = parts.hostname or "", parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        connection = kind(host, parts.port)
        plain = socket.create_connection((host, connection.port), self._seconds)
        with self._lock:
            self._connection = plain.dup()  # ours, whatever becomes of the other one
        connection.sock = plain
        try:
            if self._is_over:
                raise TimeoutError
            if is_secure:
                context = ssl.create_default_context()
                connection.sock = context.wrap_socket(plain, server_hostname=host)
            target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("POST", target, body, {**headers, **_authorization(parts)})
            with connection.getresponse() as response:
                if self._is_over:  # the headers are cut off, which http.client takes for their end
                    raise TimeoutError
                answer = b""
                with suppress(OSError, http.client.HTTPException):  # the status has come
                    answer = response.read(most)
                return response.status, response.reason, answer
        finally:
            connection.close()
            plain.close()


def _authorization(parts: SplitResult) -> dict[str, str]:
    """Return the header for a name and password in the address."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
