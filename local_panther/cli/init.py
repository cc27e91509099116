"""`local-panther init`."""

import importlib.metadata
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from local_panther.cli.common import (
    INCOMPLETE,
    UNUSABLE,
    content_errors,
    message,
    message_console,
    note,
    output_console,
    print_difference,
    write_errors,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_panther.bundle.manifest import Manifest
    from local_panther.bundle.plan import Plan, Step

QUIET_KINDS = ("same", "skipped", "kept")  # listed only if there is a note on the file
PATHS = "A path, a folder or a pattern such as 'queries/*'; repeatable."


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            file_okay=False, help="Root of a content repository; created if it does not exist."
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change; write nothing.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show how each file changes.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help=f"Write only these files. {PATHS}")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help=f"Do not write these files. {PATHS}")
    ] = None,
    mark_conflicts: Annotated[
        bool,
        typer.Option(
            "--mark-conflicts", help="Mark conflicts inside the files, as git merge does."
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="DISCARD your changes to these files, including settings, and restore deleted "
            "files.",
        ),
    ] = False,
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Checkout of the version that wrote the files; needed only if no version was "
            "recorded.",
        ),
    ] = None,
) -> None:
    """Write the detections into a content repository, or upgrade them there.

    Files that an earlier init wrote and you did not change are replaced. Your settings, changes and
    deletions are kept, and files changed on both sides are merged. If a file cannot be merged, or
    if it exists but was not written by init, nothing is written: all files are written or none.
    """
    from local_panther.bundle.plan import BLOCKING, Kind, Wishes, planned
    from local_panther.bundle.writing import finish, is_unfinished, write

    console, messages = output_console(), message_console()
    with write_errors(folder, messages), content_errors(messages):
        if dry_run and is_unfinished(folder):
            text = f"{folder}: an earlier init was interrupted; run it without --dry-run to finish"
            messages.print(message(text))
            raise typer.Exit(INCOMPLETE)
        if not dry_run and finish(folder):
            note("finished an earlier init that was interrupted", messages)
        new, before = _versions(folder, base, messages, overwrite=overwrite)
        wants = _Chosen(new, before, only or (), skip or ())
        plan = planned(new, folder, before, Wishes(wants, overwrite))
        _show(plan, console, with_differences=diff)
        _print_counts(plan.steps, new, before, console)
        blocking = [step for step in plan.steps if step.kind in BLOCKING]
        if mark_conflicts:
            blocking = [step for step in blocking if step.kind is Kind.DIFFERS]
        if blocking:
            _explain(blocking, messages)
            raise typer.Exit(INCOMPLETE)
        if not dry_run and plan.changes:
            where = f"{folder}" if folder.exists() else f"the new folder {folder}"
            write(plan.changes, folder)
            note(f"written to {where}; next, in that folder: local-panther test", messages)
        conflicts = [step.path for step in plan.steps if step.kind is Kind.CONFLICT]
        if conflicts:
            text = f"resolve the conflicts between <<<<<<< and >>>>>>> in {', '.join(conflicts)}"
            messages.print(message(text))
            raise typer.Exit(INCOMPLETE)


def _versions(
    folder: Path, base: Path | None, messages: Console, *, overwrite: bool
) -> "tuple[Manifest, Manifest | None]":
    """Return the manifests of the new and of the present version; exit if the latter is newer."""
    from packaging.version import InvalidVersion, Version

    from local_panther.bundle.files import bundled_files
    from local_panther.bundle.manifest import (
        Manifest,
        manifest_of,
        read_manifest,
        version_without_manifest,
    )

    new = Manifest(importlib.metadata.version("local-panther"), bundled_files())
    if base:
        return new, manifest_of(base)
    before = read_manifest(folder) or version_without_manifest(folder)
    try:
        is_newer = before is not None and Version(before.version) > Version(new.version)
    except InvalidVersion:
        is_newer = False
    if before and is_newer and not overwrite:
        text = f"{folder} has the detections of {before.version}, but this is local-panther"
        messages.print(message(f"{text} {new.version}: upgrade local-panther, or use --overwrite"))
        raise typer.Exit(UNUSABLE)
    return new, before


class _Chosen:
    """A filter for paths, from --only and --skip."""

    def __init__(
        self,
        new: "Manifest",
        before: "Manifest | None",
        only: "Iterable[str]",
        skip: "Iterable[str]",
    ) -> None:
        self._only, self._skip = list(only), list(skip)
        paths = {*new.files, *(before.files if before else ())}
        for pattern in (*self._only, *self._skip):
            if not any(_matches(path, pattern) for path in paths):
                raise typer.BadParameter(f"{pattern!r} matches no file of the detections")

    def __call__(self, path: str) -> bool:
        """Return whether a path is wanted."""
        if any(_matches(path, pattern) for pattern in self._skip):
            return False
        return not self._only or any(_matches(path, pattern) for pattern in self._only)


def _matches(path: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("./").rstrip("/")
    return fnmatchcase(path, pattern) or path.startswith(f"{pattern}/")


def _show(plan: "Plan", console: Console, *, with_differences: bool) -> None:
    for step in plan.steps:
        text = f"{step.kind:9}{step.path}" + "".join(f"; {note}" for note in step.notes)
        if step.notes or step.kind not in QUIET_KINDS:
            console.print(message(text), soft_wrap=True)
    for step in plan.steps if with_differences else ():
        if step.change.old is not None and step.change.old != step.change.new:
            print_difference(step.change, console)


def _print_counts(
    steps: "Iterable[Step]", new: "Manifest", before: "Manifest | None", console: Console
) -> None:
    from local_panther.bundle.plan import Kind

    counts = Counter(step.kind for step in steps)
    text = ", ".join(f"{counts[kind]} {kind}" for kind in Kind if counts[kind])
    versions = new.version
    if before and before.version != new.version:
        versions = f"{before.version} to {new.version}"
    console.print(message(f"{versions}: {text}"))


def _explain(blocking: "list[Step]", messages: Console) -> None:
    """Print why nothing was written, and how to continue."""
    from local_panther.bundle.plan import Kind

    skips = " ".join(f"--skip {step.path}" for step in blocking)
    conflicts = sum(step.kind is Kind.CONFLICT for step in blocking)
    reasons = []
    if conflicts < len(blocking):
        count = len(blocking) - conflicts
        reasons.append(f"{count} of your files have the path of a detection and differ from it")
    if conflicts:
        reasons.append(f"{conflicts} changed in the same lines as in the new version")
    ways = ["--diff shows how", f"keep yours: {skips}"]
    if conflicts:
        ways.append("merge them by hand: --mark-conflicts")
    ways.append("discard yours: --overwrite")
    messages.print(message(f"nothing was written: {', '.join(reasons)}; {'; '.join(ways)}"))
