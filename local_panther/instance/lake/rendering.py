"""Renders queries that are templates, with the macros of the stored queries.

A template can loop and grow, so it is rendered in a process of its own. `guard.py` starts that and
sets the limits.

    python -m local_panther.instance.lake.rendering QUERY RESULT

QUERY is a JSON file with the text of the query and, by name, the texts of all stored queries.
RESULT is the file for the outcome as JSON: the rendered text, and the error, one of them empty.
"""

import json
import sys
import threading
from pathlib import Path

from local_panther.content.kinds import QUERY_KINDS
from local_panther.content.queries import sql_field
from local_panther.content.sql_text import QueryTexts, is_template
from local_panther.errors import FieldError
from local_panther.instance.check.guarded import Guarded, GuardedError
from local_panther.instance.store.library import Library

SECONDS = 20.0


class Renderer:
    """Renders queries, one at a time."""

    def __init__(self, library: Library) -> None:
        """Prepare to render queries, which may import macros of the content."""
        self._library = library
        self._guarded = Guarded("rendering of the template")
        self._lock = threading.Lock()

    def rendered(self, sql: str) -> str:
        """Return the SQL of a template; return any other text unchanged.

        Raises:
            FieldError: The template is invalid, imports a macro that does not exist, or takes
                too long.
            OSError: The disk is full.
        """
        if not is_template(sql):
            return sql
        stored = {
            name: self._library.spec(name)
            for name, item in self._library.items.items()
            if item.kind in QUERY_KINDS
        }
        texts = {name: spec[key] for name, spec in stored.items() if (key := sql_field(spec))}
        with self._lock, self._library.work_folder() as work:
            asked = work / "query.json"
            asked.write_text(json.dumps([sql, texts]), encoding="utf-8")
            try:
                text, problem = self._guarded.run(
                    work, "local_panther.instance.lake.rendering", [asked], SECONDS, _read
                )
            except GuardedError as error:
                raise FieldError(str(error)) from error
        if problem:
            raise FieldError(problem)
        return text

    def close(self) -> None:
        """Stop the current rendering and refuse further ones."""
        self._guarded.stop()


def _read(result: list[str]) -> tuple[str, str]:
    text, problem = map(str, result)
    return text, problem


def main() -> None:
    """Render a query and write the outcome."""
    asked, result = map(Path, sys.argv[1:3])
    sql, texts = json.loads(asked.read_text(encoding="utf-8"))
    try:
        outcome = [QueryTexts(texts).rendered(sql), ""]
    except FieldError as error:
        outcome = ["", str(error)]
    result.write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
