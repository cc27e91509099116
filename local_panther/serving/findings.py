"""The lines of signals and rule matches that a replay writes, and the databases made of them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from local_panther.json_text import json_text
from local_panther.lake.findings import DATABASES, NAMED, store_findings
from local_panther.lake.lines import repaired
from local_panther.lake.parts import add_earlier_part
from local_panther.times import sql_timestamp

PART_BYTES = 16 * 1024 * 1024  # of lines, from which on they are a part of their own
KINDS = ("signals", "matches", "names")


class FindingLines:
    """Lines as `store_findings` reads them.

    A forked process can go on where it is (`rest`, `move`), and so can its parent.
    """

    def __init__(self, folder: Path) -> None:
        """Make the files.

        Args:
            folder: For them.
        """
        self._folder = folder
        self._parts: list[Path] = []  # folders of databases that are complete
        self._refused = 0  # in them
        self._named: dict[tuple[str, str], dict[str, Any]] = {}  # signals, with their first alert
        self._paths: dict[str, list[Path]] = {}
        self._files: dict[str, BinaryIO] = {}
        self._open(folder, [])

    def _open(self, folder: Path, before: list[dict[str, Path]]) -> None:
        """Begin files in a folder.

        Args:
            folder: The folder.
            before: Files that come before these.
        """
        own = {kind: folder / f"{kind}-{len(self._parts) + 1}.ndjson" for kind in KINDS}
        self._paths = {kind: [paths[kind] for paths in (*before, own)] for kind in KINDS}
        self._files = {kind: path.open("wb") for kind, path in own.items()}
        self._bytes = 0

    def signal(self, event: Mapping[str, Any], time: float, match: Mapping[str, Any]) -> None:
        """Write a match of a rule.

        Args:
            event: What it is of: an event of a log, or the row of a query.
            time: Of the event, in seconds since 1970.
            match: What is known of it.
        """
        alert = self._named.get((match["p_rule_id"], row_id(event, time, match["p_rule_id"])), {})
        self._write("signals", _line(event, time, {**match, **alert}))

    def match(self, event: Mapping[str, Any], time: float, match: Mapping[str, Any]) -> None:
        """Write a match that has become part of an alert.

        Args:
            event: See `signal`, and `time`, too.
            time: Of the event.
            match: What is known of it and its alert.
        """
        self._write("matches", _line(event, time, match))
        key = match["p_rule_id"], row_id(event, time, match["p_rule_id"])
        if key not in self._named:
            alert = {name: match[name] for name in NAMED if name in match and name != "p_rule_id"}
            self._named[key] = alert
            self._write("names", {"p_rule_id": key[0], "p_row_id": key[1], **alert})

    def rest(self) -> None:
        """Prepare to be copied in a forked process; what is much by now is stored for good."""
        for file in self._files.values():
            file.flush()
        if self._bytes >= PART_BYTES:
            part = self._folder / f"findings-{len(self._parts) + 1}"
            part.mkdir()
            for file in self._files.values():
                file.close()
            self._refused += self._store(part)
            for (path,) in self._paths.values():
                path.unlink()
            self._parts.append(part)
            self._open(self._folder, [])

    def move(self, folder: Path) -> None:
        """Go on in a forked process, whose parent goes on with the files.

        Args:
            folder: For further lines.
        """
        self._open(folder, [{kind: paths[-1] for kind, paths in self._paths.items()}])

    def store(self, databases: Path) -> int:
        """Make the databases and return how many lines DuckDB does not accept.

        Args:
            databases: The folder for them.
        """
        for file in self._files.values():
            file.close()
        for number, part in enumerate(self._parts, 1):
            for name in DATABASES:
                add_earlier_part(part / f"{name}.duckdb", databases, name, number)
        return self._refused + self._store(databases)

    def _store(self, databases: Path) -> int:
        signals, matches, names = (self._paths[kind] for kind in KINDS)
        return store_findings(signals, matches, names, databases)

    def _write(self, kind: str, line: Mapping[str, Any]) -> None:
        text = repaired(json_text(line, default=str).encode()) + b"\n"
        self._files[kind].write(text)
        self._bytes += len(text)


def row_id(event: Mapping[str, Any], time: float, rule_id: str) -> str:
    """Return what tells the matches of a rule apart: the ID of the event, or one for the row.

    Args:
        event: The event or row.
        time: Its time, in seconds since 1970.
        rule_id: The ID of the rule.
    """
    if _is_of_a_log(event):
        return str(event["p_row_id"])
    text = json.dumps([rule_id, time, event], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _line(event: Mapping[str, Any], time: float, match: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line as `store_findings` reads it."""
    line: dict[str, Any] = {"m": match, "a": event.get("p_parse_time") or sql_timestamp(time)}
    if _is_of_a_log(event):
        line["e"] = event
    else:
        row = {"p_event_time": sql_timestamp(time), "row": event}
        line["q"] = row | {"p_row_id": row_id(event, time, match["p_rule_id"])}
    return line


def _is_of_a_log(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a record of a log; a row of a query holds JSON as text."""
    return "p_row_id" in event and not isinstance(event.get("userIdentity"), str)
