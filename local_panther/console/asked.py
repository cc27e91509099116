"""What a page is asked for, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_panther.console.sessions import Session
from local_panther.instance.apis.rest.requests import Parameters, RequestError


@dataclass(frozen=True)
class Asked:
    """A request of somebody who is signed in.

    Attributes:
        session: Theirs.
        path: The part of the path that names something; "" if none does.
        query: The values of each parameter of the address.
        form: The fields of a form; of several with one name the last.
        address: The path and the query, as they were sent.
    """

    session: Session
    path: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    address: str = "/"

    def text(self, name: str) -> str:
        """Return the value of a parameter; "" if it is missing."""
        return self.query.get(name, [""])[-1].strip()

    def many(self, name: str, allowed: Sequence[str]) -> tuple[str, ...]:
        """Return the values of a parameter that are among those allowed.

        Raises:
            RequestError: One is not.
        """
        values = tuple(value for value in self.query.get(name, ()) if value)
        for value in values:
            if value not in allowed:
                raise RequestError(400, f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return values

    def number(self, name: str) -> int:
        """Return the value of a parameter that counts; 0 if it is missing.

        Raises:
            RequestError: It is not a number.
        """
        return self._one(name).integer(name, 0)

    def time(self, name: str) -> float | None:
        """Return the value of a parameter in seconds since 1970; None if it is missing.

        Raises:
            RequestError: It is not a time.
        """
        return self._one(name).time(name)

    def _one(self, name: str) -> Parameters:
        return Parameters({name: [self.text(name)]})


@dataclass(frozen=True)
class Page:
    """A page to be rendered.

    Attributes:
        template: Its template.
        values: What it shows.
        status: Of HTTP.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Moved:
    """Where to look instead.

    Attributes:
        address: A path of this server.
    """

    address: str


@dataclass(frozen=True)
class Download:
    """A file.

    Attributes:
        name: What it is called.
        text: Its content.
    """

    name: str
    text: str


Reply = Page | Moved | Download
