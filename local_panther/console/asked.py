"""Requests for pages of the console, and replies to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_panther.console.sessions import Session
from local_panther.instance.apis.rest.requests import Parameters, RequestError


@dataclass(frozen=True)
class Asked:
    """A request of a person who is signed in.

    Attributes:
        session: The session of the person.
        path: The ID in the path; "" if there is none.
        query: The values of each query-string parameter.
        form: The fields of a form; if several have the same name, the last one.
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
        """Return the values of a parameter that allows only some.

        Raises:
            RequestError: A value is not allowed.
        """
        values = tuple(value for value in self.query.get(name, ()) if value)
        for value in values:
            if value not in allowed:
                raise RequestError(400, f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return values

    def number(self, name: str) -> int:
        """Return the value of a parameter that is a number; 0 if it is missing.

        Raises:
            RequestError: It is not a number.
        """
        return self._one(name).integer(name, 0)

    def time(self, name: str) -> float | None:
        """Return a time in seconds since 1970; None if the parameter is missing.

        Raises:
            RequestError: It is not a time.
        """
        return self._one(name).time(name)

    def _one(self, name: str) -> Parameters:
        return Parameters({name: [self.text(name)]})


@dataclass(frozen=True)
class Page:
    """A page to render.

    Attributes:
        template: The name of its template.
        values: The values for the template.
        status: HTTP status.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Moved:
    """A redirect.

    Attributes:
        address: A path of this server.
    """

    address: str


@dataclass(frozen=True)
class Download:
    """A file to download.

    Attributes:
        name: The name of the file.
        text: The content of the file.
    """

    name: str
    text: str


Reply = Page | Moved | Download
