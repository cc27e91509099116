"""Decides which requests are answered at all, before anything of their body is read."""

import hmac
import ipaddress
import socket
from collections.abc import Iterable

from aiohttp import hdrs, web

TOKEN_HEADER = "X-API-Key"
MEDIA_TYPE = "application/json"
NEEDS_BODY = (hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH)


class Access:
    """The token, and the names under which the server may be addressed.

    Web pages that a user visits can send requests to loopback, and can have a name of their own
    point to it. So a name that is not the server's, and an origin that is not, are refused.
    """

    def __init__(self, token: str, names: Iterable[str] = ()) -> None:
        """Take the token, and names beside those of loopback and any address."""
        self._token = token.encode()
        own = {"localhost", socket.gethostname()}
        self._names = {name.lower() for name in (*own, *names) if name}

    def foreign(self, request: web.Request) -> tuple[int, str] | None:
        """Return why a request is not meant for this server, as `refusal` does; None if it is."""
        if not self._is_own(request.headers.get(hdrs.HOST, "")):
            return 403, "Forbidden: the Host header is not a name of this server"
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin != f"http://{request.headers[hdrs.HOST]}":
            return 403, "Forbidden: the request comes from another origin"
        return None

    def refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Return why a request is refused, as an HTTP status and a message; None if it is not."""
        if found := self.foreign(request):
            return found
        sent = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), self._token):
            return 403, "Forbidden: the API token is missing or wrong"
        has_body = request.can_read_body or request.method in NEEDS_BODY
        if has_body and request.content_type != MEDIA_TYPE:
            return 415, f"Only {MEDIA_TYPE} is taken"
        return None

    def _is_own(self, host: str) -> bool:
        name = _without_port(host).lower()
        return name in self._names or is_address(name)


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether what a server listens on can only be reached from this machine."""
    if is_address(host):
        return ipaddress.ip_address(host).is_loopback
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(
        ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
