"""Orders of an instance to its replay process, and the answers.

Both are files in one folder. A byte in a pipe in that folder announces each file.
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
    """An order to replay files, in addition to those of the earlier orders.

    Attributes:
        number: Number of the order, from 1.
        paths: Files, folders and `s3://bucket/prefix`.
        files: The files of these paths to read; None for all.
        is_last: True if the process can exit afterwards.
        is_passed_over: True if the instance only passes the alerts over.
    """

    number: int
    paths: list[str]
    files: list[str] | None
    is_last: bool = False
    is_passed_over: bool = False

    def results(self, folder: Path) -> Results:
        """Return the results of the order."""
        return Results(folder / f"results-{self.number}")

    def write(self, folder: Path) -> None:
        """Write the order for the replay process."""
        text = json.dumps(asdict(self))
        (folder / f"order-{self.number}.json").write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, number: int) -> "Order":
        """Read an order and remove its file.

        Raises:
            OSError, ValueError, TypeError: There is no valid order.
        """
        path = folder / f"order-{number}.json"
        order = cls(**json.loads(path.read_text(encoding="utf-8")))
        path.unlink()
        return order


@dataclass(frozen=True)
class Answer:
    """The outcome of an order.

    Attributes:
        again: Why a new process has to replay all files; "" if there are results.
        behind: Seconds by which a record was late, if that is why.
    """

    again: str = ""
    behind: float = 0.0

    def write(self, results: Results) -> None:
        """Write the answer for the instance."""
        text = json.dumps(asdict(self))
        (results.folder / "answer.json").write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, results: Results) -> "Answer":
        """Read the answer.

        Raises:
            OSError, ValueError, TypeError: There is no valid answer.
        """
        found = json.loads((results.folder / "answer.json").read_text(encoding="utf-8"))
        return cls(str(found["again"]), float(found["behind"]))


def next_order(pipe: BinaryIO, folder: Path, number: int) -> Order | None:
    """Wait for an order and return it; return None if the instance has closed the pipe."""
    return Order.read(folder, number) if pipe.read(1) else None


def make_pipes(folder: Path) -> tuple[int, int]:
    """Create the pipes for orders and for answers, and return the instance's descriptors.

    Each descriptor has both ends of its pipe, so opening does not wait for the other process.
    """
    ends = []
    for name in (ORDERS, ANSWERS):
        os.mkfifo(folder / name, mode=0o600)
        ends.append(os.open(folder / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    return ends[0], ends[1]
