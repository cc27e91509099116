"""Options and behaviour of every command: --quiet, --no-color, Ctrl-C and broken streams."""

import atexit
import errno
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import click
from click.exceptions import NoArgsIsHelpError
from typer.core import TyperGroup, TyperOption

from local_panther.cli.common import INCOMPLETE, OK, PIPE_WIDTH, UNUSABLE
from local_panther.processes import ignore_interruptions, stop_as_ctrl_c
from local_panther.text import in_one_line
from local_panther.versions import untested_versions, unusable_versions

RANGE = re.compile(r"; BOUNDS(?=\])|\s*\[BOUNDS\]".replace("BOUNDS", r"(?:[\d.]+<=)?x[<>]=[\d.]+"))
MAX_COLUMNS = 1000
NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
BARE_VALUES = {"changed": "HEAD"}  # values of options that are given without one
QUIET, NO_COLOUR = "LOCAL_PANTHER_QUIET", "NO_COLOR"


class _Formatter(click.HelpFormatter):
    """A formatter of help that drops typer's notation for rich and for programmers.

    It drops backslashes before brackets, and ranges such as "INTEGER RANGE" and "x>=0".
    """

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        shown = [
            (name.replace(" RANGE", ""), RANGE.sub("", text.replace("\\[", "[")))
            for name, text in rows
        ]
        super().write_dl(shown, col_max, col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


class Commands(TyperGroup):
    """The group of all commands, with their common options and errors."""

    context_class = _Context

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command with the common options."""
        command = super().get_command(ctx, cmd_name)
        if command:
            command.context_class = _Context
        if command and not any(option.name == "quiet" for option in command.params):
            command.params += [
                _flag("--quiet", "-q", variable=QUIET, text="Print no progress and no notes."),
                _flag(
                    "--no-color",
                    variable=NO_COLOUR,
                    text="Print no colours, as if NO_COLOR were set.",
                ),
            ]
        for option in command.params if command else ():
            if option.name in BARE_VALUES and isinstance(option, click.Option):
                # click supports this by `flag_value`, which typer 0.20 does not pass on
                option.flag_value = BARE_VALUES[option.name]
                option._flag_needs_value = True
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; --version and --help print here."""
        with _printable_errors(), _broken_streams():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, unless a package that it needs is missing or too old."""
        stop_as_ctrl_c()
        unusable = list(unusable_versions())
        for line in unusable:
            print(line, file=sys.stderr)
        if unusable:
            ctx.exit(UNUSABLE)
        ctx.call_on_close(_note_untested_versions)  # not yet: --quiet has not been read
        with _printable_errors(), _broken_streams():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Make click's messages printable: `replay *` passes file names with any characters."""
    try:
        yield
    except NoArgsIsHelpError as error:  # its message is the whole help
        print(error.message)
        raise cast("Exception", click.exceptions.Exit(OK)) from None
    except click.ClickException as error:
        text = in_one_line(error.format_message())
        error.format_message = lambda: text  # type: ignore[method-assign]
        raise


@contextmanager
def _broken_streams() -> Iterator[None]:
    """Turn Ctrl-C, and a lack of memory, disk or descriptors, into a message and exit status."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        ignore_interruptions()  # a second Ctrl-C would change the exit status
        _end("interrupted")
    except BrokenPipeError:
        _end()  # no error: the reader, such as `head`, has closed the pipe
    except MemoryError:
        _end("out of memory")
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not _has_temporary_folder():
            _end("no temporary folder can be written: make room, or name another one in TMPDIR")
        if error.errno in NOT_WRITABLE:
            _end(f"cannot write: {_described(error)}")
        if error.errno in SCARCE:
            _end(_described(error))
        raise


def _described(error: OSError) -> str:
    """Return the reason of an error, with the file if it is known."""
    place = f" ({in_one_line(str(error.filename))})" if error.filename else ""
    return f"{error.strerror}{place}"


def _has_temporary_folder() -> bool:
    """Return whether a temporary folder can be used; importing panther_core fails without one."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True


def context_settings() -> dict[str, Any]:
    """Return the settings of help: as wide as the terminal or COLUMNS, in a pipe PIPE_WIDTH."""
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if not is_terminal and "COLUMNS" not in os.environ:
        settings["terminal_width"] = PIPE_WIDTH
    return settings


def check_surroundings() -> None:
    """Ignore an invalid COLUMNS, such as 0, and exit if the working folder is gone."""
    columns = os.environ.get("COLUMNS", "")
    if columns and not (columns.isdecimal() and 0 < int(columns) <= MAX_COLUMNS):
        del os.environ["COLUMNS"]
    try:
        os.getcwd()  # noqa: PTH109 - raises if the folder is gone
    except OSError as error:
        print(f"the working folder cannot be used: {error.strerror}", file=sys.stderr)
        os._exit(UNUSABLE)


def end_for_certain(code: str | int | None) -> None:
    """Exit without freeing memory, which takes a tenth of a second after a replay.

    Threads started by content do not keep the process running. It returns if the rest is Python's:
    to print a message, or to report that standard output cannot be written.
    """
    if not isinstance(code, int | None):
        return
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    is_alone = others == [threading.main_thread()]
    if is_alone:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            if is_alone:
                return
    os._exit(code or 0)


def ensure_streams() -> None:
    """Exit if standard output or error is closed, and replace a closed standard input.

    The next file that is opened would otherwise get the descriptor of a closed stream, and with it
    all that is printed. Commands that read standard input then report that it cannot be read.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)  # gets the lowest free descriptor, which is 0
        sys.stdin = os.fdopen(0, "r", closefd=False)
    if sys.stdout is None or sys.stderr is None:
        name = "output" if sys.stdout is None else "error"
        if sys.stderr is not None:
            print(f"standard {name} is closed; send it to /dev/null instead", file=sys.stderr)
        os._exit(UNUSABLE)


def _flag(*names: str, variable: str, text: str) -> click.Option:
    def store(_: click.Context, __: click.Parameter, value: Any) -> None:
        if value:
            os.environ[variable] = "1"

    return TyperOption(
        param_decls=list(names), is_flag=True, expose_value=False, callback=store, help=text
    )


def _note_untested_versions() -> None:
    if not os.environ.get(QUIET):
        for line in untested_versions():
            print(line, file=sys.stderr)


def _end(message: str = "") -> None:
    """Print a message, if any, and exit; output that cannot be written is dropped."""
    for stream, number in ((sys.stderr, 2), (sys.stdout, 1)):
        try:
            if stream is sys.stderr and message:
                print(message, file=stream)
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    raise cast("Exception", click.exceptions.Exit(INCOMPLETE))
