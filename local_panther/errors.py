"""Errors in user input, and the errors that a run collects."""

import logging
from collections import Counter
from dataclasses import dataclass, field

MAX_EXAMPLES = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        where: The file, and the record or line in it; "" if the input as a whole is meant.
        message: What is wrong and, unless that is obvious, what to do.
        count: How often it was met in the same file; `where` is the first place.
    """

    where: str
    message: str
    count: int = 1

    def __str__(self) -> str:
        """Return all of it on one line."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return text if self.count == 1 else f"{text} (and {self.count - 1:,} more in this file)"


class ContentError(Exception):
    """Content that cannot be loaded as an instance would load it.

    Attributes:
        problems: Every problem that was found, each with its file and field.
    """

    def __init__(self, problems: list[Problem]) -> None:
        """Take all the problems."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class UnusableCluster(Exception):
    """A cluster that cannot be used; the message says which, why and what to do."""


class FieldError(ValueError):
    """An invalid field of a content item; the message names the key and the reason."""


class LineError(FieldError):
    """Something wrong in a text of several lines; the message begins with its line if it is known.

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
    """An error of one type that a rule raised, once or often.

    Attributes:
        first: Time of the first event that it raised it on, and `last` of the latest, in seconds
            since 1970.
        made_at: When the first that was raised was, on the clock of the replay.
        where: The place of the first.
        message: What the first said.
        count: How often.
    """

    first: float
    last: float
    made_at: float
    where: str
    message: str
    count: int = 1


@dataclass
class Swallowed:
    """What a function beside rule() raised on matches, which an instance says nothing of.

    Attributes:
        message: What it raised first.
        where: The place of the event that it raised it on.
        count: How often it raised.
    """

    message: str
    where: str
    count: int = 0


@dataclass
class RunErrors:
    """The errors of rules, queries and the data lake during a run.

    They are results to report, not crashes: the run goes on without the event or the query.

    Attributes:
        counts: Number of errors by rule ID or query name.
        examples: The first errors, each with its place.
        raised: What rules raised, by rule ID and type of error.
        swallowed: What other functions raised, by rule ID and function: a note and no error.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[Problem] = field(default_factory=list)
    raised: dict[tuple[str, str], Raised] = field(default_factory=dict)
    swallowed: dict[tuple[str, str], Swallowed] = field(default_factory=dict)

    def add_swallowed(self, rule_id: str, function: str, message: str, where: str) -> None:
        """Count what a function beside rule() raised.

        Args:
            rule_id: The ID of its rule.
            function: Its name.
            message: What it raised.
            where: The place of the event.
        """
        self.swallowed.setdefault((rule_id, function), Swallowed(message, where)).count += 1

    def add_raised(self, rule_id: str, kind: str, found: Raised) -> None:
        """Take note of what a rule raised, beside `add`.

        Args:
            rule_id: The ID of the rule.
            kind: The type of the error.
            found: What it raised, once.
        """
        known = self.raised.setdefault((rule_id, kind), found)
        if known is not found:
            known.first, known.last = min(known.first, found.first), max(known.last, found.last)
            known.count += found.count

    def add(self, name: str, where: str, message: str) -> None:
        """Count an error.

        Args:
            name: The ID of the rule, or the name of the query, that failed.
            where: The record, row or run that it failed on.
            message: What it raised.
        """
        self.counts[name] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(Problem(where, f"{name}: {message}"))

    def caught(self, where: str) -> "_Caught":
        """Count an unexpected error as one of the local Panther; go on after the context.

        Args:
            where: The record, alert or run at hand.
        """
        return _Caught(self, where)


class _Caught:
    """A context of `RunErrors.caught`, of which every record has some: not a generator's."""

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
    """Return the text of an error on one line, however its library wrapped it."""
    return " ".join(str(error).split())
