"""Results of panther_analysis_tool's unit tests, as `watching` records them."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local_panther.errors import Problem

COMPLETE = {"complete": True}


@dataclass
class Result:
    """The result of a unit test, or of an item that cannot be tested.

    Attributes:
        item: ID of the item, or its file if it has no valid ID.
        test: Name of the test; "" for the item itself.
        passed: Whether it passed.
        messages: Reasons of a failure.
        notes: Notes on what an instance does differently from what the rule says.
        place: For a problem in the content, its file, with its line after a colon if it is known;
            "" for a result of the tool.
    """

    item: str
    test: str
    passed: bool
    messages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    place: str = ""

    @property
    def file(self) -> str:
        """File of a problem in the content."""
        return self.place.partition(":")[0]

    @property
    def line(self) -> int:
        """Line of a problem in the content; 0 if it is unknown."""
        return int(self.place.partition(":")[2] or 0)

    def as_line(self) -> str:
        """Return the result as a line of JSON."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        """Return the failure on one line."""
        where = self.place or (f"{self.item}: {self.test}" if self.test else self.item)
        return f"{where}: {'; '.join(self.messages) or 'the result is not the expected one'}"


@dataclass
class Results:
    """The results of a run.

    Attributes:
        tests: Results in the order of the run.
        complete: Whether the tool reached its summary.
    """

    tests: list[Result] = field(default_factory=list)
    complete: bool = False

    @property
    def failed(self) -> list[Result]:
        """Failed tests and invalid items."""
        return [result for result in self.tests if not result.passed]

    def add_problems(self, problems: Iterable[Problem], folder: Path) -> None:
        """Add problems in the content, without those that the tool has found as well.

        Args:
            problems: Problems, each at a file in the folder, or at `file:line`.
            folder: Root of the content.
        """
        items = [result for result in self.failed if not result.test]
        refused = {Path(result.item).resolve() for result in items}
        found = {message for result in items for message in result.messages}
        for problem in problems:
            name, has_line, _ = problem.where.partition(":")
            is_known = (folder / name).resolve() in refused or problem.message in found
            if has_line or not is_known:
                place = os.path.normpath(folder / problem.where)
                self.tests.append(
                    Result(name, "", passed=False, messages=[problem.message], place=place)
                )


def read_results(path: Path) -> Results:
    """Return the recorded results.

    Args:
        path: File with one JSON object a line.
    """
    results = Results()
    for line in path.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        if found == COMPLETE:
            results.complete = True
        else:
            results.tests.append(Result(**found))
    return results
