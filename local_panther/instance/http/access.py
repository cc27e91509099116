"""Decides which requests are answered, before any of their body is read."""

import hmac
import ipaddress
import socket
from collections.abc import Iterable

from aiohttp import hdrs, web

TOKEN_HEADER = "X-API-Key"
MEDIA_TYPE = "application/json"
NEEDS_BODY = (hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_PATCH)


class Access:
    """The checks of token, Host and Origin.

    Web pages that a user visits can send requests to loopback, and their own host name can resolve
    to it. So requests with another host name or origin than the server's are refused.
    """

    def __init__(self, token: str, names: Iterable[str] = ()) -> None:
        """Prepare the checks.

        Args:
            token: The token that clients must send.
            names: Host names that clients may use besides localhost, the machine's name and any IP
                address.
        """
        self._token = token.encode()
        own = {"localhost", socket.gethostname()}
        self._names = {name.lower() for name in (*own, *names) if name}

    def foreign(self, request: web.Request) -> tuple[int, str] | None:
        """Return why a request is not meant for this server, in the form of `refusal`."""
        if not self._is_own(request.headers.get(hdrs.HOST, "")):
            return 403, "Forbidden: the Host header is not a name of this server"
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin != f"http://{request.headers[hdrs.HOST]}":
            return 403, "Forbidden: the request comes from another origin"
        return None

    def refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Return an HTTP status and a message if a request is refused, otherwise None."""
        if found := self.foreign(request):
            return found
        sent = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), self._token):
            return 403, "Forbidden: the API token is missing or wrong"
        has_body = request.can_read_body or request.method in NEEDS_BODY
        if has_body and request.content_type != MEDIA_TYPE:
            return 415, f"Only {MEDIA_TYPE} is accepted"
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
    """Return whether a server that listens on a host is reached from this machine only."""
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
