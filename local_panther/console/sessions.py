"""Sessions of people who sign in, with the token or with a link that works once."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_SESSIONS = 20  # a further one ends the oldest
SESSION_SECONDS = 12 * 3600
CODE_SECONDS = 3600
MAX_CODES = 20


@dataclass(frozen=True)
class Session:
    """A browser that is signed in.

    Attributes:
        csrf: A secret in each form of its pages, which pages of other sites do not know.
        ends: When it ends, by the clock of `Sessions`.
    """

    csrf: str
    ends: float

    def allows(self, csrf: str) -> bool:
        """Return whether a form came from one of its pages."""
        return hmac.compare_digest(csrf.encode("utf-8", "replace"), self.csrf.encode())


class Sessions:
    """The sessions of a server, in memory only."""

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without sessions.

        Args:
            token: The token with which a person signs in.
            clock: Returns the time in seconds.
        """
        self._token = token.encode()
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, Session] = {}  # by the hash of the cookie, the oldest first
        self._codes: dict[str, float] = {}  # unused codes: when each expires, by its hash

    def new_code(self) -> str:
        """Return a code with which a person can sign in once, within an hour."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[_hash(code)] = self._clock() + CODE_SECONDS
            while len(self._codes) > MAX_CODES:
                del self._codes[next(iter(self._codes))]
        return code

    def sign_in(self, token: str) -> str | None:
        """Return a cookie for the token; None if it is wrong."""
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token):
            return None
        return self._begin()

    def use_code(self, code: str) -> str | None:
        """Return a cookie for a code, and delete the code; None if the code is invalid."""
        with self._lock:
            ends = self._codes.pop(_hash(code), 0.0)
        return self._begin() if ends > self._clock() else None

    def get(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None if there is none or it has ended."""
        with self._lock:
            found = self._found.get(_hash(cookie))
            if found and found.ends <= self._clock():
                del self._found[_hash(cookie)]
                return None
        return found

    def end(self, cookie: str) -> None:
        """End a session."""
        with self._lock:
            self._found.pop(_hash(cookie), None)

    def _begin(self) -> str:
        cookie = secrets.token_urlsafe(32)
        session = Session(secrets.token_urlsafe(24), self._clock() + SESSION_SECONDS)
        with self._lock:
            self._found[_hash(cookie)] = session
            while len(self._found) > MAX_SESSIONS:
                del self._found[next(iter(self._found))]
        return cookie


def _hash(secret: str) -> str:
    """Return the key of a secret: the time of looking up a hash reveals nothing of the secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
