"""Errors in user input, and errors collected during a run."""

import logging
from collections import Counter
from dataclasses import dataclass, field

MAX_EXAMPLES = 20


@dataclass(frozen=True)
class Problem:
    """A fault in the input, and its place.

    Attributes:
        where: The file, and the record or line in it; "" for the input as a whole.
        message: What is wrong and, unless that is obvious, what to do.
        count: Number of occurrences in the same file; `where` is the first.
    """

    where: str
    message: str
    count: int = 1

    def __str__(self) -> str:
        """Return place, message and count on one line."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return text if self.count == 1 else f"{text} (and {self.count - 1:,} more in this file)"


class ContentError(Exception):
    """Content that cannot be loaded as an instance would load it.

    Attributes:
        problems: All problems found, each with its file and field.
    """

    def __init__(self, problems: list[Problem]) -> None:
        """Join the problems into one message."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class UnusableCluster(Exception):
    """A cluster that cannot be used; the message says which, why and what to do."""


class FieldError(ValueError):
    """An invalid field of a content item; the message names the key and the reason."""


class LineError(FieldError):
    """An error in a text of several lines; the message begins with the line if it is known.

    Attributes:
        line: The line, from 1; None if it is not known.
        text: The message without the line.
    """

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(f"line {line}: {text}" if line else text)
        self.line = line
        self.text = text


@dataclass
class Raised:
    """All errors of one type that a rule raised.

    Attributes:
        first: Earliest eventTime of an event that caused the error, in seconds since 1970; `last`
            is the latest.
        made_at: When the rule first raised it, on the clock of the replay.
        where: The place of the event that it was first raised on.
        message: Message of the first error.
        count: Number of errors.
    """

    first: float
    last: float
    made_at: float
    where: str
    message: str
    count: int = 1


@dataclass
class Swallowed:
    """Errors that an instance hides: those of a function other than rule(), raised on matches.

    Attributes:
        message: Message of the first error.
        where: The place of the event that it was first raised on.
        count: Number of errors.
    """

    message: str
    where: str
    count: int = 0


@dataclass
class RunErrors:
    """The errors of rules, queries and the data lake during a run.

    They are results to report, not crashes: the run continues without the event or the query.

    Attributes:
        counts: Number of errors by rule ID or query name.
        examples: The first errors, each with its place.
        raised: Errors of rules, by rule ID and type of error.
        swallowed: Errors of other functions, by rule ID and function; notes, not counted as errors.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[Problem] = field(default_factory=list)
    raised: dict[tuple[str, str], Raised] = field(default_factory=dict)
    swallowed: dict[tuple[str, str], Swallowed] = field(default_factory=dict)

    def add_swallowed(self, rule_id: str, function: str, message: str, where: str) -> None:
        """Count an error of a function other than rule().

        Args:
            rule_id: The ID of the rule.
            function: The name of the function.
            message: The message of the error.
            where: The place of the event.
        """
        self.swallowed.setdefault((rule_id, function), Swallowed(message, where)).count += 1

    def add_raised(self, rule_id: str, kind: str, found: Raised) -> None:
        """Record an error of a rule by its type, in addition to `add`.

        Args:
            rule_id: The ID of the rule.
            kind: The type of the error.
            found: One occurrence of the error.
        """
        known = self.raised.setdefault((rule_id, kind), found)
        if known is not found:
            known.first, known.last = min(known.first, found.first), max(known.last, found.last)
            known.count += found.count

    def add(self, name: str, where: str, message: str) -> None:
        """Count an error.

        Args:
            name: The ID of the rule that failed, or the name of the query.
            where: The record, row or run that it failed on.
            message: The message of the error.
        """
        self.counts[name] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(Problem(where, f"{name}: {message}"))

    def caught(self, where: str) -> "_Caught":
        """Return a context that counts an unexpected error as local-panther's own and drops it.

        Args:
            where: The current record, alert or run.
        """
        return _Caught(self, where)


class _Caught:
    """A context of `RunErrors.caught`.

    Each record enters at least one, so it is a class: a generator's context would be slower.
    """

    __slots__ = ("_errors", "_where")

    def __init__(self, errors: RunErrors, where: str) -> None:
        self._errors = errors
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        logging.debug("%s", self._where, exc_info=error)
        message = f"{type(error).__name__}: {one_line(error)}"
        self._errors.add("local-panther", self._where, message)
        return True


def one_line(error: object) -> str:
    """Return the text of an error on one line, without the line breaks of its library."""
    return " ".join(str(error).split())
