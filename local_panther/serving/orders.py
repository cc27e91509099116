"""What an instance tells the process that replays for it, and how that answers.

Both look at files in one folder, and at a byte in a pipe beside them that says that one is there.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from local_panther.serving.results import Results

ORDERS, ANSWERS = "orders", "answers"  # the pipes
BYTE = b"\n"


@dataclass(frozen=True)
class Order:
    """Files to replay, in addition to those of the orders before.

    Attributes:
        number: From 1.
        paths: Files, folders and `s3://bucket/prefix`.
        files: Those of them to read; None for all.
        is_last: Whether the process can end afterwards.
        is_passed_over: Whether the instance only takes note of the alerts.
    """

    number: int
    paths: list[str]
    files: list[str] | None
    is_last: bool = False
    is_passed_over: bool = False

    def results(self, folder: Path) -> Results:
        """Return the place of the results."""
        return Results(folder / f"results-{self.number}")

    def write(self, folder: Path) -> None:
        """Let the process find the order."""
        text = json.dumps(asdict(self))
        (folder / f"order-{self.number}.json").write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, number: int) -> "Order":
        """Read an order and remove it.

        Raises:
            OSError, ValueError, TypeError: There is none.
        """
        path = folder / f"order-{number}.json"
        order = cls(**json.loads(path.read_text(encoding="utf-8")))
        path.unlink()
        return order


@dataclass(frozen=True)
class Answer:
    """How it went.

    Attributes:
        again: Why everything has to be replayed by a new process; "" if there are results.
        behind: Seconds by which a record was late, if that is why.
    """

    again: str = ""
    behind: float = 0.0

    def write(self, results: Results) -> None:
        """Let the instance find the answer."""
        text = json.dumps(asdict(self))
        (results.folder / "answer.json").write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, results: Results) -> "Answer":
        """Read the answer.

        Raises:
            OSError, ValueError, TypeError: There is none.
        """
        found = json.loads((results.folder / "answer.json").read_text(encoding="utf-8"))
        return cls(str(found["again"]), float(found["behind"]))


def next_order(pipe: BinaryIO, folder: Path, number: int) -> Order | None:
    """Wait for an order and return it; None once no more can come."""
    return Order.read(folder, number) if pipe.read(1) else None


def make_pipes(folder: Path) -> tuple[int, int]:
    """Make the pipes and return the instance's ends of them: for orders, and for answers.

    It can open them before the process does, as it has both ends of each.
    """
    ends = []
    for name in (ORDERS, ANSWERS):
        os.mkfifo(folder / name, mode=0o600)
        ends.append(os.open(folder / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    return ends[0], ends[1]
