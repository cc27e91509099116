"""Runs the replay of an instance, in a process of its own.

    python -m local_panther.serving.worker CONTENT FOLDER WORKERS WAITING BOX

CONTENT is a copy of the stored content, FOLDER the folder for orders and results (see `orders`),
WORKERS the number of processes that scan files, and WAITING the seconds that an event waits for
earlier ones. Content code runs in this process, so it can neither harm the server nor read its
token. BOX says whether it runs in the box.

The files of an order are added to those of the earlier orders (see `following`). Exit status: 0
after the last order; 1 if the content does not load or the replay failed, with the reason on
standard error.
"""

import os
import sys
from pathlib import Path
from typing import BinaryIO

from local_panther.box.entry import ANY_NETWORK, NO_NETWORK, enter
from local_panther.box.environment import OF_S3
from local_panther.errors import ContentError
from local_panther.instance.check.guarded import TRUSTED
from local_panther.processes import collect_garbage_rarely, end_with_parent
from local_panther.records.arrivals import OutOfPlace
from local_panther.records.s3 import is_s3
from local_panther.remembered import detach
from local_panther.serving.following import Following, following
from local_panther.serving.orders import ANSWERS, BYTE, ORDERS, Answer, Order, next_order


def main() -> int:
    """Carry out the orders and return the exit status."""
    end_with_parent()
    os.umask(0o077)
    collect_garbage_rarely()
    content, folder = map(Path, sys.argv[1:3])
    workers, waiting_seconds = int(sys.argv[3]), float(sys.argv[4])
    with (folder / ORDERS).open("rb", buffering=0) as orders:
        first = next_order(orders, folder, 1)
    if first is None:
        return 0
    if sys.argv[5] != TRUSTED:
        detach()
        _enter_box(first, folder)
    with (folder / ORDERS).open("rb", buffering=0) as orders:
        try:
            with following(content, folder, first.paths, workers, waiting_seconds) as replay:
                return _carry_out(first, orders, folder, replay)
        except ContentError as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            pass
        return 1


def _enter_box(first: Order, folder: Path) -> None:
    has_s3 = any(map(is_s3, first.paths))
    # Inside the folder of the results, which the instance removes; the guard kills this process
    # before it could remove a folder elsewhere.
    temporary = folder / "tmp"
    temporary.mkdir(mode=0o700)
    enter(
        temporary=temporary,
        writable=[folder],
        network=ANY_NETWORK if has_s3 else NO_NETWORK,
        kept=OF_S3 if has_s3 else (),
    )


def _carry_out(order: Order | None, orders: BinaryIO, folder: Path, replay: Following) -> int:
    with (folder / ANSWERS).open("wb", buffering=0) as answers:
        while order:
            results = order.results(folder)
            try:
                if not replay.add(order, results):
                    return 1
                Answer().write(results)
            except OutOfPlace as error:
                Answer(str(error), error.behind).write(results)
            answers.write(BYTE)
            if order.is_last:
                break
            order = next_order(orders, folder, order.number + 1)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # without waiting for threads of content code
