"""Runs the code of a content repository so that it cannot hang, stop or corrupt the run.

Whatever a rule does becomes an error of that rule: the other rules, the following records and the
alerts found so far are unaffected. This protects against mistakes; `box` limits what the code can
reach. docs/decisions/containment.md shows the states of a call.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Generic, NamedTuple, NoReturn, ParamSpec, TypeVar, cast

from local_panther.patching import replaced
from local_panther.processes import END_SIGNALS

# An instance has a limit too; its length is undocumented (low confidence).
TIME_LIMIT_SECONDS = 15.0
# Code that catches the interruption is interrupted again after this time, until it returns.
AGAIN_SECONDS = 0.05

P = ParamSpec("P")
T = TypeVar("T")


class ContentCodeError(Exception):
    """A forbidden action of content code; the message names it."""


class TimeLimitError(ContentCodeError):
    """A call that was stopped at the time limit."""


class Called(NamedTuple, Generic[T]):
    """The outcome of a call.

    Attributes:
        result: The returned value; None if the function returned nothing.
        error: The exception raised, or a ContentCodeError. A result can be present as well, if the
            function caught the interruption and then returned.
    """

    result: T | None
    error: Exception | None

    def unwrap(self) -> T:
        """Return the result, or raise the error."""
        if self.error:
            raise self.error
        return cast("T", self.result)


class _Stop(BaseException):
    """An interruption of content code; not an Exception, as such code often catches those."""


class _Containment:
    """The state of the containment; there is one in each process, as signals are per process."""

    def __init__(self) -> None:
        self.limit: float | None = None  # seconds; None while calls cannot be interrupted
        self.calling = False
        self.began = 0.0  # start of the running call, by time.monotonic()
        # The timer keeps running from call to call: setting and clearing it for each call would
        # take about 3 µs, more than all else that `call` does.
        self.is_armed = False
        self.expired = False
        self.pending: int | None = None  # a signal that arrived during a call
        self.previous: dict[int, Any] = {}  # the handlers of END_SIGNALS
        self.process = 0

    def on_alarm(self, *_: object) -> None:
        """Stop the running call if its time is used up; otherwise set the timer to what is left."""
        self.is_armed = False
        if not self.calling:
            return
        if self.pending is None:
            left = self.began + cast("float", self.limit) - time.monotonic()
            if left > 0 and not self.expired:
                self.arm(left)
                return
            self.expired = True
        self._stop()

    def arm(self, seconds: float) -> None:
        """Have `on_alarm` called after some seconds; 0 turns the timer off."""
        self.is_armed = seconds > 0
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def on_end(self, number: int, frame: FrameType | None) -> None:
        """Stop the running call; `call` handles the signal once it has returned.

        Otherwise panther_core would catch Ctrl-C as an error of the rule and continue.
        """
        if self.calling:
            self.pending = number
            self._stop()
        self.previous[number](number, frame)

    def _stop(self) -> NoReturn:
        self.arm(AGAIN_SECONDS)
        message = f"stopped after {self.limit:g} s" if self.expired else "interrupted"
        raise _Stop(message)

    def exit(self, status: int) -> NoReturn:
        """Replace `os._exit`, which content code must not call; forked processes may call it."""
        if self.calling and os.getpid() == self.process:
            raise SystemExit(status)
        _exit(status)


_exit = os._exit
_containment = _Containment()


@contextlib.contextmanager
def contained(limit: float | None = None) -> Iterator[None]:
    """Contain content code inside the context.

    Everything written to standard output goes to standard error, a call of content code is stopped
    at a time limit, and Ctrl-C stops the run even if content code or panther_core catches it.
    Outside the main thread, where Python handles no signals, calls are not interrupted.

    Args:
        limit: Seconds that one call may take; TIME_LIMIT_SECONDS by default.
    """
    if _containment.limit is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_standard_output_redirected())
        if threading.current_thread() is threading.main_thread():
            _containment.process = os.getpid()
            stack.enter_context(replaced(os, "_exit", _containment.exit))
            stack.enter_context(_signals_handled())
            stack.callback(setattr, _containment, "limit", None)
            stack.callback(_containment.arm, 0)
            _containment.limit = limit or TIME_LIMIT_SECONDS
        yield


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Called[T]:
    """Call content code, or a function that runs it.

    Outside `contained`, the call is not interrupted.

    Returns:
        The value it returned, or the exception it raised.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during the call. More generally, whatever the
            handler of the signal raises.
    """
    state = _containment
    if state.limit is None or state.calling:
        return _called(function, *args, **kwargs)
    state.expired, state.pending = False, None
    called: Called[T] = Called(None, None)
    try:
        try:
            state.began = time.monotonic()
            state.calling = True
            if not state.is_armed:
                state.arm(state.limit)
            called = _called(function, *args, **kwargs)
        finally:
            state.calling = False
    except _Stop:  # raised in this function itself, just before or after the call
        state.calling = False
    if state.expired or state.pending is not None:
        state.arm(0)
    if state.pending is not None:
        state.previous[state.pending](state.pending, None)
    if state.expired:
        error = TimeLimitError(f"stopped after the time limit of {state.limit:g} s")
        return Called(called.result, error)
    return called


def _called(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Called[T]:
    try:
        return Called(function(*args, **kwargs), None)
    except Exception as error:
        return Called(None, error)
    except BaseException as error:
        if _containment.limit is None and isinstance(error, KeyboardInterrupt):
            raise
        return Called(None, ContentCodeError(described(error)))


def described(error: BaseException) -> str:
    """Return the text of an exception of content code; SystemExit is described in words."""
    if isinstance(error, SystemExit):
        return f"tried to end the process with status {error.code}"
    return str(error) if isinstance(error, Exception) else f"{type(error).__name__}: {error}"


def move() -> None:
    """Adjust the state after a fork: a forked process does not inherit its parent's timer."""
    _containment.is_armed = False
    _containment.process = os.getpid()


def line_in(error: BaseException, file: str | None) -> int | None:
    """Return the line of a module that led to an exception; None if the module was not involved.

    Args:
        error: The exception, raised by the module or by something that it called.
        file: The path of the module.
    """
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    return lines[-1] if lines else None


@contextlib.contextmanager
def _signals_handled() -> Iterator[None]:
    """Handle the alarm and the signals that stop a run; ignored signals stay ignored."""
    before: dict[int, Any] = {n: signal.getsignal(n) for n in END_SIGNALS}
    _containment.previous = {n: handler for n, handler in before.items() if callable(handler)}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _containment.on_alarm)
    for number in _containment.previous:
        signal.signal(number, _containment.on_end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _standard_output_redirected() -> Iterator[None]:
    """Send everything printed to standard error, also what bypasses `sys.stdout`."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # stdout closed or missing
            sys.stdout.flush()
            kept = os.dup(1)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 1)
            os.dup2(2, 1)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield
