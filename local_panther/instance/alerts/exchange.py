"""An HTTP request with a deadline for the whole exchange, which any thread can stop."""

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit


class Exchange:
    """An HTTP request and its answer.

    The timeout of a socket applies to each read, so a server that sends a byte now and then could
    hold a request forever. Here a timer closes the connection.
    """

    def __init__(self, seconds: float) -> None:
        """Prepare a request.

        Args:
            seconds: Time limit for the whole exchange.
        """
        self._seconds = seconds
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._is_over = False

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], most: int
    ) -> tuple[int, str, bytes]:
        """Send a request to one address, without proxies and redirects.

        Args:
            url: The address.
            body: The body of the request.
            headers: Headers besides those that HTTP requires.
            most: Number of bytes to read of the answer's body.

        Returns:
            The status, its reason, and the first bytes of the answer's body.

        Raises:
            TimeoutError: The exchange took too long, or was stopped.
            OSError, ValueError, http.client.HTTPException: There was no valid answer.
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
        """End the exchange now."""
        with self._lock:
            self._is_over = True
            if self._connection:
                with suppress(OSError):  # it is closed already
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _post(
        self, parts: SplitResult, body: bytes, headers: Mapping[str, str], most: int
    ) -> tuple[int, str, bytes]:
        host, is_secure = parts.hostname or "", parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        connection = kind(host, parts.port)
        plain = socket.create_connection((host, connection.port), self._seconds)
        with self._lock:
            self._connection = plain.dup()  # http.client may close its own at any time
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
                if self._is_over:  # http.client takes cut-off headers for complete ones
                    raise TimeoutError
                answer = b""
                with suppress(OSError, http.client.HTTPException):  # the status is enough
                    answer = response.read(most)
                return response.status, response.reason, answer
        finally:
            connection.close()
            plain.close()


def _authorization(parts: SplitResult) -> dict[str, str]:
    """Return the header for a user name and password in the address."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
