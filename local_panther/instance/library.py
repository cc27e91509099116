"""The content that an instance stores: in a folder, so that it survives a restart."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from local_panther.errors import ContentError, Problem, one_line
from local_panther.instance.archive import ArchiveError, unpack
from local_panther.instance.kinds import KINDS, QUERY_KINDS, STATISTICS

INDEX = "state.json"
CHECK_SECONDS = 60


@dataclass(frozen=True)
class UploadOutcome:
    """What an upload came to.

    Attributes:
        problems: Pairs of the file in the archive ("" for the whole) and what is wrong.
        statistics: By kind the new, modified and total items of the upload.
    """

    problems: list[tuple[str, str]] = field(default_factory=list)
    statistics: dict[str, dict[str, int]] = field(default_factory=dict)


def stored_content(folder: Path) -> Path:
    """Return the content in a state folder; any other folder is content itself."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return folder / index["content"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder


class Library:
    """Items by ID, each with its kind, files and digest.

    A change is first made in a folder beside the content in use; the index, which names the folder
    in use, is then replaced in one step. A reader finds the one or the other, never half of it.

    Raises:
        ContentError: The folder holds an index that is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._check: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._index = _read_index(folder / INDEX)
        self._remove_leftovers()

    @property
    def items(self) -> dict[str, dict[str, str]]:
        """The stored items by ID."""
        return self._index["items"]

    @property
    def content(self) -> Path:
        """The folder of the content in use."""
        return self._folder / self._index["content"]

    def _remove_leftovers(self) -> None:
        """Remove what a server left that was killed within a change, and nothing else."""
        patterns = [".upload-*", ".delete-*"]
        if (self._folder / INDEX).is_file():  # or it is no state folder, and what is in it not ours
            patterns.append("content-[0-9]*")
        for pattern in patterns:
            for path in self._folder.glob(pattern):
                if path != self.content:
                    shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Stop a check that is under way; its upload comes to nothing."""
        if self._check and self._check.poll() is None:
            self._check.kill()
            self._check.communicate()

    def upload(self, data: str, store: bool = True) -> UploadOutcome:
        """Check an archive and, where nothing is wrong with it, store all that is in it.

        Args:
            data: A base64 encoded zip archive.
            store: False to check only.
        """
        with self._lock, TemporaryDirectory(dir=self._folder, prefix=".upload-") as work:
            return self._upload(data, Path(work), store)

    def _upload(self, data: str, work: Path, store: bool) -> UploadOutcome:
        unpacked, candidate = work / "unpacked", work / "candidate"
        unpacked.mkdir()
        candidate.mkdir()
        try:
            unpack(data, unpacked)
        except ArchiveError as error:
            return UploadOutcome([("", str(error))])
        outcome = self._checked(work, unpacked, candidate)
        problems = [tuple(problem) for problem in outcome["problems"]]
        for item_id, item in outcome["items"].items():
            known = self.items.get(item_id, item)["kind"]
            if known != item["kind"]:
                message = f"{item_id}: is stored as a {known}, not as a {item['kind']}"
                problems.append((outcome["files"][item_id], message))
        if problems:
            return UploadOutcome(problems)
        statistics = self._statistics(outcome["items"])
        if store:
            self._replace(candidate, {**self.items, **outcome["items"]})
        return UploadOutcome(statistics=statistics)

    def _checked(self, work: Path, unpacked: Path, candidate: Path) -> dict[str, Any]:
        result = work / "result.json"
        arguments = map(str, (unpacked, self.content, candidate, result))
        self._check = subprocess.Popen(
            [sys.executable, "-m", "local_panther.instance.check", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = self._check.communicate(timeout=CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            self.close()
            message = f"checking took more than {CHECK_SECONDS} s: does a body loop on import?"
            return {"problems": [("", message)], "items": {}, "files": {}}
        try:
            return json.loads(result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = (errors.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            message = f"checking broke off (status {self._check.returncode}): {last}"
            return {"problems": [("", message)], "items": {}, "files": {}}

    def _statistics(self, uploaded: dict[str, dict[str, str]]) -> dict[str, dict[str, int]]:
        counts = no_statistics()
        for item_id, item in uploaded.items():
            name = KINDS[item["kind"]].statistics
            if name is None:
                continue
            counts[name]["total"] += 1
            stored = self.items.get(item_id)
            if stored is None:
                counts[name]["new"] += 1
            elif stored["digest"] != item["digest"]:
                counts[name]["modified"] += 1
        return counts

    def _replace(self, candidate: Path, items: dict[str, dict[str, str]]) -> None:
        old = self.content
        number = int(self._index["content"].removeprefix("content-")) + 1
        name = f"content-{number}"
        shutil.rmtree(self._folder / name, ignore_errors=True)
        candidate.replace(self._folder / name)
        index = {"content": name, "items": items}
        temporary = self._folder / f".{INDEX}"
        temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
        temporary.replace(self._folder / INDEX)
        self._index = index
        shutil.rmtree(old, ignore_errors=True)

    def delete(self, ids: Iterable[str], queries: bool, dry_run: bool) -> list[str]:
        """Delete detections, or queries, by ID and return those that there are.

        Args:
            queries: Delete queries; otherwise everything else.
            dry_run: Only tell which there are.
        """
        with self._lock:
            wanted = dict.fromkeys(ids)
            found = [i for i in wanted if i in self.items and self._is_query(i) == queries]
            if found and not dry_run:
                with TemporaryDirectory(dir=self._folder, prefix=".delete-") as work:
                    candidate = Path(work) / "candidate"
                    shutil.copytree(self.content, candidate)
                    for item_id in found:
                        for part in ("spec", "body"):
                            if self.items[item_id][part]:
                                (candidate / self.items[item_id][part]).unlink(missing_ok=True)
                    left = {i: item for i, item in self.items.items() if i not in found}
                    self._replace(candidate, left)
            return found

    def linked(self, ids: Iterable[str], queries: bool) -> list[str]:
        """Return the queries of scheduled rules, or the scheduled rules of queries."""
        chosen = set(ids)
        found = []
        for item_id, item in self.items.items():
            if item["kind"] != "scheduled_rule":
                continue
            names = self.spec(item_id).get("ScheduledQueries") or []
            if queries and chosen & set(names):
                found.append(item_id)
            elif not queries and item_id in chosen:
                found += [name for name in names if name in self.items]
        return list(dict.fromkeys(found))

    def spec(self, item_id: str) -> dict[str, Any]:
        """Return the YAML of a stored item."""
        path = self.content / self.items[item_id]["spec"]
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    def body(self, item_id: str) -> str:
        """Return the Python of a stored item, "" where it has none."""
        name = self.items[item_id]["body"]
        return (self.content / name).read_text(encoding="utf-8") if name else ""

    def _is_query(self, item_id: str) -> bool:
        return self.items[item_id]["kind"] in QUERY_KINDS


def _read_index(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"content": "content-0", "items": {}}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        return {"content": str(index["content"]), "items": dict(index["items"])}
    except (ValueError, LookupError, TypeError) as error:
        message = f"is no index of uploads ({one_line(error)}); name another --state or remove it"
        raise ContentError([Problem(str(path), message)]) from error


def no_statistics() -> dict[str, dict[str, int]]:
    """Return statistics of an upload in which there is nothing."""
    return {name: {"new": 0, "modified": 0, "total": 0} for name in STATISTICS}
