"""Writes the signals and rule matches of a replay as lines, and builds databases from them."""

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

PART_BYTES = 16 * 1024 * 1024  # of lines; above it they are stored as a part of their own
KINDS = ("signals", "matches", "names")


class FindingLines:
    """The files of lines for `store_findings`.

    After `rest`, a process can be forked; the child calls `move`, and both can write further lines.
    """

    def __init__(self, folder: Path) -> None:
        """Create the files.

        Args:
            folder: The folder for the files.
        """
        self._folder = folder
        self._parts: list[Path] = []  # folders of complete databases
        self._refused = 0  # lines in the parts that DuckDB did not accept
        self._named: dict[tuple[str, str], dict[str, Any]] = {}  # signals, with their first alert
        self._paths: dict[str, list[Path]] = {}
        self._files: dict[str, BinaryIO] = {}
        self._open(folder, [])

    def _open(self, folder: Path, before: list[dict[str, Path]]) -> None:
        """Create new files in a folder.

        Args:
            folder: The folder.
            before: Earlier files, whose lines come before those of the new ones.
        """
        own = {kind: folder / f"{kind}-{len(self._parts) + 1}.ndjson" for kind in KINDS}
        self._paths = {kind: [paths[kind] for paths in (*before, own)] for kind in KINDS}
        self._files = {kind: path.open("wb") for kind, path in own.items()}
        self._bytes = 0

    def signal(self, event: Mapping[str, Any], time: float, match: Mapping[str, Any]) -> None:
        """Write a match of a rule.

        Args:
            event: The matched event of a log, or the matched row of a query.
            time: Time of the event, in seconds since 1970.
            match: The columns of the rule and its match.
        """
        alert = self._named.get((match["p_rule_id"], row_id(event, time, match["p_rule_id"])), {})
        self._write("signals", _line(event, time, {**match, **alert}))

    def match(self, event: Mapping[str, Any], time: float, match: Mapping[str, Any]) -> None:
        """Write a match that has become part of an alert.

        Args:
            event: See `signal`.
            time: See `signal`.
            match: The columns of the rule, its match and the alert.
        """
        self._write("matches", _line(event, time, match))
        key = match["p_rule_id"], row_id(event, time, match["p_rule_id"])
        if key not in self._named:
            alert = {name: match[name] for name in NAMED if name in match and name != "p_rule_id"}
            self._named[key] = alert
            self._write("names", {"p_rule_id": key[0], "p_row_id": key[1], **alert})

    def rest(self) -> None:
        """Prepare for a fork. Store the lines permanently if there are many."""
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
        """Continue in a forked process, while its parent continues with the files.

        Args:
            folder: The folder for further lines.
        """
        self._open(folder, [{kind: paths[-1] for kind, paths in self._paths.items()}])

    def store(self, databases: Path) -> int:
        """Create the databases and return how many lines DuckDB does not accept.

        Args:
            databases: The folder for the databases.
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
    """Return an ID for the match of a rule: the ID of the event, or a hash of the row.

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
    """Return a line for `store_findings`."""
    line: dict[str, Any] = {"m": match, "a": event.get("p_parse_time") or sql_timestamp(time)}
    if _is_of_a_log(event):
        line["e"] = event
    else:
        row = {"p_event_time": sql_timestamp(time), "row": event}
        line["q"] = row | {"p_row_id": row_id(event, time, match["p_rule_id"])}
    return line


def _is_of_a_log(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a record of a log; rows of queries hold JSON as text."""
    return "p_row_id" in event and not isinstance(event.get("userIdentity"), str)
