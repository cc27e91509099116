"""What the REST API gets and gives: parameters, pages and errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from local_panther.instance.apis import UNSUPPORTED
from local_panther.times import parse_time

T = TypeVar("T")
NOT_FOUND, CONFLICT, BAD = 404, 409, 400
SEVERITIES = ("INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL")


class RequestError(Exception):
    """A request that is refused; the message says why.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        """Take the status and what the client is told."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """The answer to a request.

    Attributes:
        body: Plain JSON; None for an answer without a body.
        status: Of HTTP.
    """

    body: Any = None
    status: int = 200


class Parameters:
    """The query string of a request. One that nobody asked for is an error: it may be a filter."""

    def __init__(self, given: Mapping[str, Sequence[str]]) -> None:
        """Take the values of each name."""
        self._left = dict(given)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of a name."""
        values = self._left.pop(name, [default])
        if len(values) != 1:
            _bad(f"{name}: is given more than once")
        return values[0]

    def many(self, name: str, allowed: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the values of a name, given again and again or with commas between them."""
        given = self._left.pop(name, [])
        values = tuple(part for value in given for part in value.split(",") if part)
        for value in values:
            if allowed and value not in allowed:
                _bad(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return values

    def choice(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        """Return the value of a name that has few."""
        value = self.text(name, default)
        if value != default and value not in allowed:
            _bad(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return the value of a name that is true or false."""
        return self.choice(name, ("true", "false"), str(default).lower()) == "true"

    def integer(self, name: str, default: T, most: int | None = None) -> int | T:
        """Return the number of a name.

        Args:
            name: The name.
            default: What to return if it is not given.
            most: The largest that may be asked for.
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
        """Return the time of a name in seconds since 1970, None if it is not given."""
        text = self.text(name)
        time = parse_time(text) if text else None
        if text and time is None:
            _bad(f"{name}: {text!r} is not a time such as 2026-01-05T10:00:00Z")
        return time

    def end(self) -> None:
        """Refuse what is left."""
        for name in self._left:
            _bad(f"{name}: {UNSUPPORTED} as a parameter of this path")


@dataclass(frozen=True)
class RestRequest:
    """A request to one of the paths.

    Attributes:
        parameters: Of the query string.
        body: The JSON of the request, None if it has none.
        id: What the path names; "" if it names nothing.
    """

    parameters: Parameters
    body: Any = None
    id: str = ""

    def mapping(self, required: Iterable[str] = ()) -> Mapping[str, Any]:
        """Return the body, which must be an object that has some keys."""
        if not isinstance(self.body, dict):
            _bad("the body is not a JSON object")
        for name in required:
            if name not in self.body:
                _bad(f"{name}: is missing")
        return self.body


@dataclass
class Page:
    """The part of a list that a request asks for.

    Attributes:
        limit: How many entries at most.
        cursor: What the page before ended with; "" for the first page.
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
            found: Its entries, and one more if there are more.
            plain: Returns an entry as JSON.
            mark: Returns the cursor of what follows an entry.
        """
        shown = found[: self.limit]
        body: dict[str, Any] = {"results": [plain(entry) for entry in shown]}
        if len(found) > len(shown):
            body["next"] = mark(shown[-1])
        return Reply(body)

    def reply_by(self, entries: Mapping[str, T], plain: Callable[[T], Any]) -> Reply:
        """Return the page of entries that are all at hand, by their IDs."""
        if self.cursor and self.cursor not in entries:
            _bad(f"cursor: {self.cursor!r} is not one that a page ended with")
        following = [name for name in sorted(entries) if name > self.cursor]
        return self.reply(following, lambda name: plain(entries[name]), str)


def text_of(body: Mapping[str, Any], name: str, allowed: Sequence[str] = ()) -> str:
    """Return a text of a body; "" if it is not there."""
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
