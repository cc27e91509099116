"""Puts commands that run content into the box, unless the user trusts the content."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from local_panther.cli.common import message, note
from local_panther.text import in_one_line

TrustContent = Annotated[
    bool,
    typer.Option(
        "--trust-content",
        help="Give the content's code access to your environment, the network and your files.",
    ),
]
MAX_SHOWN = 20
_is_own_process = False


def own_this_process() -> None:
    """Allow commands to put this process into the box, which it can never leave."""
    global _is_own_process
    _is_own_process = True


def enter_box(
    paths: Sequence[str],
    cluster: str,
    outputs: Sequence[Path | None],
    messages: Console,
    *,
    trust: bool,
) -> None:
    """Put this process into the box before it runs content, unless the content is trusted.

    Args:
        paths: Inputs of the command.
        cluster: Address of a Dask scheduler; "" for none.
        outputs: Files that the command writes when it finishes.
        messages: Console for a note on what this system cannot block.
        trust: Run the content without the box.
    """
    from local_panther.box.entry import ANY_NETWORK, NO_NETWORK, enter, without
    from local_panther.box.environment import OF_A_CLUSTER, OF_S3
    from local_panther.box.writing import write_by_another_process
    from local_panther.records.s3 import is_s3
    from local_panther.remembered import cache_folders

    if trust:
        run_content_here()
    if trust or not _is_own_process:
        return
    write_by_another_process([path for path in outputs if path])
    has_s3 = any(map(is_s3, paths))
    missing = enter(
        writable=cache_folders(),
        named=paths,
        network=ANY_NETWORK if has_s3 or cluster else NO_NETWORK,
        kept=(*(OF_S3 if has_s3 else ()), *(OF_A_CLUSTER if cluster else ())),
    )
    if missing:
        note(without(missing), messages)


def run_content_here() -> None:
    """Let content that the user trusts run in this process."""
    from local_panther.box.watch import trust_content

    if _is_own_process:
        trust_content()


def note_limits(messages: Console, *, trust: bool) -> None:
    """Print what this system cannot block, unless the content is trusted."""
    from local_panther.box.entry import without
    from local_panther.box.kernel import missing

    if not trust and (found := missing()):
        note(without(found), messages)


def print_refusals(messages: Console) -> bool:
    """Print what the box refused, and where; return whether it refused anything."""
    from local_panther.box.watch import refused

    found = sorted(refused().items())
    for refusal, count in found[:MAX_SHOWN]:
        times = f" ({count:,} times)" if count > 1 else ""
        text = in_one_line(f"{refusal}{times}")
        messages.print(Text.assemble(("refused: ", "red"), text))
    if len(found) > MAX_SHOWN:
        messages.print(message(f"refused: {len(found) - MAX_SHOWN:,} more", "red"))
    if found:
        note("--trust-content allows content to do this", messages)
    return bool(found)
