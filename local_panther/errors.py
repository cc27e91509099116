"""What can go wrong with what a user hands over."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        where: The file, and the record or line in it.
        message: What is wrong and, where it is not plain, what to do.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class ContentError(Exception):
    """Content that can not be loaded as an instance would load it.

    Attributes:
        problems: Every problem that was found, each with file and field.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def one_line(error: object) -> str:
    """Return what an error says on one line, however its library broke it."""
    return " ".join(str(error).split())


class FieldError(ValueError):
    """A field of a content item that has no meaning; the message names the key and says why."""
