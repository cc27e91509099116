"""Checks an upload as an instance does, in a process of its own.

The check imports the uploaded bodies, as an instance must: one that loops or uses up all memory
harms this process and not the server. `guard.py` starts it and sets the limits.

Before that, a fork of this process reads the items and checks the queries, which runs none of the
uploaded Python. So the fork may write the user's cache: most of the time of a check is saved if the
queries are known. The process that imports the bodies has only a copy of the cache.

    python -m local_panther.instance.check.check UPLOAD STORED CANDIDATE RESULT BOX

UPLOAD is an unpacked archive and STORED the folder of the stored content, which may be missing.
CANDIDATE is an empty folder, to which both are copied in the local Panther's own layout. RESULT is
the file for the outcome as JSON (`CheckedUpload`), BOX says whether uploaded code runs in the box.
"""

import contextlib
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from local_panther.box.apart import apart
from local_panther.box.watch import refused
from local_panther.containment import contained
from local_panther.content.items import ClassifiedAnalysis
from local_panther.content.kinds import FOLDERS
from local_panther.content.load import loaded_content, remember_queries
from local_panther.content.log_types import check_log_types
from local_panther.content.queries import located
from local_panther.content.tool import classify_analysis, load_analysis_specs
from local_panther.errors import ContentError, FieldError, Problem, one_line
from local_panther.instance.check.guarded import enter_box
from local_panther.instance.check.model import CheckedUpload, StoredItem
from local_panther.instance.check.safe_yaml import TOO_LARGE, is_too_large
from local_panther.lake.preparing import empty_lake
from local_panther.remembered import cache_folders, detach, verdicts

# The dumper of libyaml is fifteen times as fast; wheels of PyYAML always have it.
SafeDumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

MAX_NAME_LENGTH = 100


def check(upload: Path, stored: Path, candidate: Path) -> CheckedUpload:
    """Check an upload and assemble the content that storing it would give.

    Problems of items that are stored already are left out.

    Args:
        upload: The unpacked archive.
        stored: The folder of the stored content; it may be missing.
        candidate: An empty folder, to which the stored and the uploaded items are copied.
    """
    return _loaded(_assembled(upload, stored, candidate), upload, candidate)


def _assembled(upload: Path, stored: Path, candidate: Path) -> CheckedUpload:
    """Copy the stored and the uploaded items to the candidate, without importing any body."""
    items, problems = _read(upload)
    if stored.is_dir():
        shutil.copytree(stored, candidate, dirs_exist_ok=True)
    entries: dict[str, StoredItem] = {}
    files: dict[str, str] = {}
    for item in items:
        source = str(Path(item.file_name).relative_to(upload))
        try:
            entry = _place(item, upload, candidate)
        except (FieldError, OSError, UnicodeDecodeError) as error:
            problems.append(Problem(source, str(error)))
            continue
        entries[item.analysis_id()] = entry
        files[item.analysis_id()] = source
    return CheckedUpload(problems, entries, files)


def _loaded(found: CheckedUpload, upload: Path, candidate: Path) -> CheckedUpload:
    """Add the problems of the uploaded items that loading the candidate finds."""
    if found.problems:
        return found
    sources = {entry.spec: found.files[item_id] for item_id, entry in found.items.items()}
    try:
        with loaded_content(candidate, include_disabled=True, checks=empty_lake):
            pass
    except ContentError as error:
        found.problems.extend(
            Problem(place, located(problem.message, upload / place))
            for problem in error.problems
            if (place := sources.get(problem.where))
        )
    return found


def _read(upload: Path) -> tuple[list[ClassifiedAnalysis], list[Problem]]:
    found = list(load_analysis_specs([str(upload)], ignore_files=[]))
    sound, too_large = [], []
    for entry in found:
        name, _, spec, _ = entry
        if is_too_large(spec):
            too_large.append((name, TOO_LARGE))
        else:
            sound.append(entry)
    container, invalid = classify_analysis(
        sound, ignore_table_names=True, valid_table_names=[], ignore_extra_keys=False
    )
    problems = [
        Problem(str(Path(name).relative_to(upload)), one_line(error))
        for name, error in [*invalid, *too_large]
    ]
    refused = {name for name, _ in invalid}
    items = [item for item in container.items() if item.file_name not in refused]
    if not items and not problems:
        problems.append(
            Problem("", "the archive holds no content: no YAML file has an AnalysisType")
        )
    return items, problems


def _place(item: ClassifiedAnalysis, upload: Path, candidate: Path) -> StoredItem:
    """Write the files of an item into the candidate, under a name derived from its ID."""
    spec, kind = dict(item.analysis_spec), item.analysis_type()
    check_log_types(spec.get("LogTypes") or [])
    folder = FOLDERS[kind]
    name = file_name(item.analysis_id())
    spec_file, body_file, body = f"{folder}/{name}.yml", "", b""
    if isinstance(spec.get("Filename"), str):
        body = _body(item, upload)
        suffix = Path(spec["Filename"]).suffix or ".py"
        body_file = f"{folder}/{name}{suffix}"
        spec["Filename"] = f"{name}{suffix}"
    text = yaml.dump(spec, Dumper=SafeDumper, sort_keys=False, allow_unicode=True)
    for path, content in ((spec_file, text.encode()), (body_file, body)):
        if path:
            (candidate / path).parent.mkdir(parents=True, exist_ok=True)
            (candidate / path).write_bytes(content)
    digest = hashlib.sha256(text.encode() + b"\0" + body).hexdigest()
    return StoredItem(kind, spec_file, body_file, digest)


def _body(item: ClassifiedAnalysis, upload: Path) -> bytes:
    name: str = item.analysis_spec["Filename"]
    path = (Path(item.file_name).parent / name).resolve()
    if not path.is_relative_to(upload.resolve()):
        raise FieldError(f"Filename: {name} is outside the archive")
    if not path.is_file():
        raise FieldError(f"Filename: {name} is not in the archive")
    return path.read_bytes()


def file_name(item_id: str) -> str:
    """Return the file name of an item: unique to its ID, and safe in any folder."""
    safe = quote(item_id, safe=" ")[:MAX_NAME_LENGTH].lstrip(".")
    if safe == item_id:
        return safe
    return f"{safe}-{hashlib.sha256(item_id.encode()).hexdigest()[:12]}"


def main() -> None:
    """Run the check and write its outcome."""
    upload, stored, candidate, result = map(Path, sys.argv[1:5])
    upload = upload.resolve()

    def assemble() -> dict[str, Any]:
        verdicts.take_over()
        found = _assembled(upload, stored, candidate)
        if not found.problems:
            with contextlib.suppress(ContentError):
                remember_queries(candidate, empty_lake)
        verdicts.flush()
        return found.as_json()

    assembled, _ = apart(assemble, writable=[candidate, *cache_folders()])
    detach()
    enter_box()
    with contained():
        outcome = _loaded(CheckedUpload.from_json(assembled), upload, candidate)
    outcome.problems.extend(Problem("", f"refused: {found}") for found in sorted(refused()))
    result.write_text(json.dumps(outcome.as_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
