"""Runs the code of a content repository so that it can fail, but not hang, end or garble the run.

What a rule does is its own error: it never costs the other rules, the records that follow, or the
alerts that were found already. This protects from mistakes; what the code may reach is for `box`.
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

# An instance has a limit too; how long it is was not to be found (low confidence).
TIME_LIMIT_SECONDS = 15.0
# What catches the interruption is interrupted again after this time, until it gives way.
AGAIN_SECONDS = 0.05

P = ParamSpec("P")
T = TypeVar("T")


class ContentCodeError(Exception):
    """What content code did that no code of a repository may do; the message says what."""


class TimeLimitError(ContentCodeError):
    """A call that was stopped, as it took too long."""


class Called(NamedTuple, Generic[T]):
    """The outcome of a call.

    Attributes:
        result: What it returned; None if it returned nothing.
        error: What it raised, or ContentCodeError. There may be a result as well, if the function
            caught the interruption and went on.
    """

    result: T | None
    error: Exception | None

    def unwrap(self) -> T:
        """Return the result; raise the error if there is one."""
        if self.error:
            raise self.error
        return cast("T", self.result)


class _Stop(BaseException):
    """Interrupts content code; not an Exception, which such code often catches."""


class _Containment:
    """The state of the one containment of this process, as signals belong to a process."""

    def __init__(self) -> None:
        self.limit: float | None = None  # seconds; None while calls cannot be interrupted
        self.calling = False
        self.began = 0.0  # the running call, by time.monotonic()
        self.is_armed = (
            False  # the timer goes on from call to call: setting it costs more than most
        )
        self.expired = False
        self.pending: int | None = None  # a signal that arrived during a call
        self.previous: dict[int, Any] = {}  # the handlers of END_SIGNALS
        self.process = 0

    def on_alarm(self, *_: object) -> None:
        """Stop the running call if it has used up its time; let the timer go on if not."""
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
        """Have `on_alarm` called after some time, 0 for never."""
        self.is_armed = seconds > 0
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def on_end(self, number: int, frame: FrameType | None) -> None:
        """Stop the running call; the signal is handled when the call has ended.

        Without this, panther_core would take Ctrl-C for an error of the rule, and go on.
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
        """Stand in for `os._exit`, which content code must not call; forked processes may."""
        if self.calling and os.getpid() == self.process:
            raise SystemExit(status)
        _exit(status)


_exit = os._exit
_containment = _Containment()


@contextlib.contextmanager
def contained(limit: float | None = None) -> Iterator[None]:
    """Contain content code while the context lasts.

    Everything that is written to standard output goes to standard error, a call of content code
    ends after a time limit, and Ctrl-C ends the run although content code or panther_core catches
    it. Outside the main thread, where Python handles no signals, calls are not interrupted.

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
    """Call content code, or what runs it.

    Returns:
        What it returned or raised. Outside `contained` it is not interrupted.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile (or what the signal's handler raises).
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
    except _Stop:  # between two bytecodes of this function
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
    """Return what an exception says; content code that ends the process says so."""
    if isinstance(error, SystemExit):
        return f"tried to end the process with status {error.code}"
    return str(error) if isinstance(error, Exception) else f"{type(error).__name__}: {error}"


def move() -> None:
    """Contain content code in this process, which was forked: timers stay with its parent."""
    _containment.is_armed = False
    _containment.process = os.getpid()


def line_in(error: BaseException, file: str | None) -> int | None:
    """Return the line of a file at which content code was when it raised; None if it was not in it.

    Args:
        error: What it raised, itself or by what it called.
        file: The path of its module.
    """
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == file]
    return lines[-1] if lines else None


@contextlib.contextmanager
def _signals_handled() -> Iterator[None]:
    """Handle the alarm and the signals that end a run; ignored signals stay ignored."""
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
    """Send what is printed, also past `sys.stdout`, to standard error."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            sys.stdout.flush()
            kept = os.dup(1)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 1)
            os.dup2(2, 1)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield
