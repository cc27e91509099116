"""Reads what panther_analysis_tool prints of its unit tests: the one form of its results."""

import re
from dataclasses import dataclass, field

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RULE = re.compile(r"(?P<id>\S.*)")
TEST = re.compile(r"\t\[(?P<outcome>PASS|FAIL)\] (?P<name>.*)")
STEP = re.compile(r"\t\t\[(?P<outcome>PASS|FAIL)\] (?P<text>.*)")
INVALID, SUMMARY, LINE = "Invalid Tests Summary", "Test Summary", "----"


@dataclass
class Result:
    """One unit test of an item, or an item that cannot be tested.

    Attributes:
        item: The item's ID, or its file if it has no valid ID.
        test: The name of the test; "" for an item that is invalid.
        passed: The outcome.
        messages: What failed in it.
    """

    item: str
    test: str
    passed: bool
    messages: list[str] = field(default_factory=list)


class Results:
    """The results of a run, taken from its output line by line.

    Attributes:
        tests: In the order in which they ran.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.tests: list[Result] = []
        self._item = ""
        self._section = ""

    @property
    def failed(self) -> list[Result]:
        """The tests that failed and the items that are invalid."""
        return [result for result in self.tests if not result.passed]

    def take(self, line: str) -> None:
        """Take the next line of the output."""
        line = COLOUR.sub("", line.rstrip("\n"))
        if line.startswith(LINE) or line.endswith(SUMMARY) or line == INVALID:
            self._section = line if line.endswith("Summary") else self._section
        elif self._section == INVALID:
            self._take_invalid(line)
        elif self._section:
            pass  # what was printed above, once more
        elif step := STEP.fullmatch(line):
            if step["outcome"] == "FAIL" and self.tests:
                self.tests[-1].messages.append(step["text"])
        elif test := TEST.fullmatch(line):
            self.tests.append(Result(self._item, test["name"], test["outcome"] == "PASS"))
        elif item := RULE.fullmatch(line):
            self._item = item["id"]

    def _take_invalid(self, line: str) -> None:
        if line.startswith("\t\t") and self.tests:
            self.tests[-1].messages.append(line.strip())
        elif line.startswith("\t"):
            self.tests.append(Result(line.strip(), "", passed=False))
        elif line and self.tests:
            self.tests[-1].messages.append(line)
