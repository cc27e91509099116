"""Runs content code in a separate process inside the box."""

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from local_panther.box.entry import enter
from local_panther.box.watch import Refusal, refused
from local_panther.processes import start_worker

FAILED = 1


class ApartError(Exception):
    """The exit of the separate process without a value; the message has its status."""


def apart(work: Callable[[], Any], *, writable: Iterable[Path] = ()) -> tuple[Any, list[Refusal]]:
    """Run a function that calls content code in a fork, without side effects in this process.

    Args:
        work: Returns a value of JSON's types. It runs in a fork of this process, which must have no
            other threads.
        writable: Folders that `work` itself writes, in addition to a temporary one.

    Returns:
        The value, and the refused actions.

    Raises:
        ApartError: The fork exited without a value; the exception is on standard error.
        FileNotFoundError: There is no folder for temporary files.
    """
    tempfile.gettempdir()  # raise here, or the fork would fail and the content be blamed
    inside, outside = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child == 0:
        os.close(inside)
        _work(work, outside, writable)
    os.close(outside)
    try:
        with os.fdopen(inside, "rb") as pipe:
            text = pipe.read()
    except BaseException:  # for example Ctrl-C
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    try:
        value, refusals = json.loads(text)
    except ValueError as error:
        code = os.waitstatus_to_exitcode(status)
        raise ApartError(f"the content ended the process that checks it (status {code})") from error
    return value, [Refusal(*each) for each in refusals]


def _work(work: Callable[[], Any], outside: int, writable: Iterable[Path]) -> None:
    """Run the work in the box, send its value, and exit."""
    status = FAILED
    try:
        start_worker()
        enter(writable=writable)
        text = json.dumps([work(), sorted(refused())])
        with os.fdopen(outside, "wb") as pipe:
            pipe.write(text.encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
