"""Requests and replies of the REST API: parameters, pages and errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from local_panther.instance.apis import UNSUPPORTED
from local_panther.times import parse_time

T = TypeVar("T")
NOT_FOUND, CONFLICT, BAD = 404, 409, 400


class RequestError(Exception):
    """A request that is refused; the message says why.

    Attributes:
        status: HTTP status of the reply.
    """

    def __init__(self, status: int, message: str) -> None:
        """Refuse a request.

        Args:
            status: HTTP status of the reply.
            message: Message for the client.
        """
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """The answer to a request.

    Attributes:
        body: Plain JSON; None for a reply without a body.
        status: HTTP status.
    """

    body: Any = None
    status: int = 200


class Parameters:
    """The query-string parameters of a request.

    Each is read once. An unknown one is an error in `end`, since ignoring a filter would be wrong.
    """

    def __init__(self, given: Mapping[str, Sequence[str]]) -> None:
        """Use the values of each parameter, by name."""
        self._left = dict(given)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of a parameter."""
        values = self._left.pop(name, [default])
        if len(values) != 1:
            _bad(f"{name}: is given more than once")
        return values[0]

    def many(self, name: str, allowed: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the values of a parameter that is repeated or has a list with commas."""
        given = self._left.pop(name, [])
        values = tuple(part for value in given for part in value.split(",") if part)
        for value in values:
            if allowed and value not in allowed:
                _bad(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return values

    def choice(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        """Return the value of a parameter that has a few possible ones."""
        value = self.text(name, default)
        if value != default and value not in allowed:
            _bad(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return the value of a parameter that is true or false."""
        return self.choice(name, ("true", "false"), str(default).lower()) == "true"

    def integer(self, name: str, default: T, most: int | None = None) -> int | T:
        """Return the value of a parameter that is a number.

        Args:
            name: The name of the parameter.
            default: The value if it is missing.
            most: The highest number that is allowed.
        """
        text = self.text(name)
        if not text:
            return default
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            _bad(f"{name}: {text!r} is not a number")
        if most is not None and not 1 <= int(text) <= most:
            _bad(f"{name}: {text} is not between 1 and {most}")
        return int(text)

    def time(self, name: str) -> float | None:
        """Return a time in seconds since 1970; None if the parameter is missing."""
        text = self.text(name)
        time = parse_time(text) if text else None
        if text and time is None:
            _bad(f"{name}: {text!r} is not a time such as 2026-01-05T10:00:00Z")
        return time

    def end(self) -> None:
        """Refuse the parameters that were not read."""
        for name in self._left:
            _bad(f"{name}: {UNSUPPORTED} as a parameter of this path")


@dataclass(frozen=True)
class RestRequest:
    """A request to one of the paths.

    Attributes:
        parameters: Query-string parameters.
        body: The JSON of the request; None if it has none.
        id: The ID in the path; "" if there is none.
    """

    parameters: Parameters
    body: Any = None
    id: str = ""

    def mapping(self, required: Iterable[str] = ()) -> Mapping[str, Any]:
        """Return the body, which must be an object with the required keys."""
        if not isinstance(self.body, dict):
            _bad("the body is not a JSON object")
        for name in required:
            if name not in self.body:
                _bad(f"{name}: is missing")
        return self.body


@dataclass
class Page:
    """The page of a list that a request asks for.

    Attributes:
        limit: Highest number of entries.
        cursor: The cursor that the previous page returned; "" for the first page.
    """

    limit: int
    cursor: str
    results: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, parameters: Parameters, default: int, most: int) -> "Page":
        """Read the limit and the cursor."""
        return cls(parameters.integer("limit", default, most), parameters.text("cursor"))

    def reply(
        self, found: Sequence[T], plain: Callable[[T], Any], mark: Callable[[T], str]
    ) -> Reply:
        """Return the page.

        Args:
            found: Its entries, followed by one more if there is a next page.
            plain: Returns an entry as JSON.
            mark: Returns the cursor of the page after an entry.
        """
        shown = found[: self.limit]
        body: dict[str, Any] = {"results": [plain(entry) for entry in shown]}
        if len(found) > len(shown):
            body["next"] = mark(shown[-1])
        return Reply(body)

    def reply_by(self, entries: Mapping[str, T], plain: Callable[[T], Any]) -> Reply:
        """Return the page of a list in memory, in order of IDs."""
        if self.cursor and self.cursor not in entries:
            _bad(f"cursor: {self.cursor!r} is not one that a page ended with")
        following = [name for name in sorted(entries) if name > self.cursor]
        return self.reply(following, lambda name: plain(entries[name]), str)


def text_of(body: Mapping[str, Any], name: str, allowed: Sequence[str] = ()) -> str:
    """Return a text of a body; "" if it is missing."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        _bad(f"{name}: is not text")
    if allowed and value not in allowed:
        _bad(f"{name}: {value!r} is not one of {', '.join(allowed)}")
    return value


def _bad(message: str) -> NoReturn:
    raise RequestError(BAD, message)
