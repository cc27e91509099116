"""The results of panther_analysis_tool's unit tests, as `watching` records them."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local_panther.errors import Problem

COMPLETE = {"complete": True}


@dataclass
class Result:
    """One unit test of an item, or an item that cannot be tested.

    Attributes:
        item: The item's ID, or its file if it has no valid ID.
        test: The name of the test; "" for the item itself.
        passed: The outcome.
        messages: What failed in it.
        notes: What an instance does otherwise than the rule says, in a test that passed.
        place: The file of a problem of the content, with its line after a colon if that is known;
            "" for what the tool found.
    """

    item: str
    test: str
    passed: bool
    messages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    place: str = ""

    @property
    def file(self) -> str:
        """The file of a problem of the content."""
        return self.place.partition(":")[0]

    @property
    def line(self) -> int:
        """The line of a problem of the content, 0 if it is not known."""
        return int(self.place.partition(":")[2] or 0)

    def as_line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        """Return what failed, on one line."""
        where = self.place or (f"{self.item}: {self.test}" if self.test else self.item)
        return f"{where}: {'; '.join(self.messages) or 'the result is not the expected one'}"


@dataclass
class Results:
    """The results of a run.

    Attributes:
        tests: In the order in which they ran.
        complete: Whether the tool got to its summary.
    """

    tests: list[Result] = field(default_factory=list)
    complete: bool = False

    @property
    def failed(self) -> list[Result]:
        """The tests that failed and the items that are invalid."""
        return [result for result in self.tests if not result.passed]

    def add_problems(self, problems: Iterable[Problem], folder: Path) -> None:
        """Add what is wrong with the content.

        What the tool has found too is not said once more: that a file is invalid, and why.

        Args:
            problems: Each at a file in the folder, or at `file:line`.
            folder: The root of the content.
        """
        items = [result for result in self.failed if not result.test]
        refused = {Path(result.item).resolve() for result in items}
        told = {message for result in items for message in result.messages}
        for problem in problems:
            name, has_line, _ = problem.where.partition(":")
            is_told = (folder / name).resolve() in refused or problem.message in told
            if has_line or not is_told:
                place = os.path.normpath(folder / problem.where)
                self.tests.append(
                    Result(name, "", passed=False, messages=[problem.message], place=place)
                )


def read_results(path: Path) -> Results:
    """Read what was recorded.

    Args:
        path: A file with one JSON object a line.
    """
    results = Results()
    for line in path.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        if found == COMPLETE:
            results.complete = True
        else:
            results.tests.append(Result(**found))
    return results
