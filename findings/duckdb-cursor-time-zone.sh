#!/bin/sh
# One would expect a cursor of a DuckDB connection to have the session's settings: a cursor is the
# way to run a second query, and Python's other databases share them.
# It does not: `SET TimeZone` on the connection is lost on its cursors, which have the machine's zone
# again. The same comparison of a TIMESTAMP with a TIMESTAMPTZ is true on one and false on the other.
# `SET GLOBAL TimeZone` reaches both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0
TZ=Asia/Kolkata "$folder/venv/bin/python" - <<'PYTHON'
import duckdb

SQL = "SELECT TIMESTAMP '2026-01-05 10:00:00' >= TIMESTAMPTZ '2026-01-05 10:00:00+00'"
seen = {}
for statement in ("SET TimeZone = 'UTC'", "SET GLOBAL TimeZone = 'UTC'"):
    connection = duckdb.connect()
    connection.execute(statement)
    seen[statement] = (
        connection.execute(SQL).fetchone()[0],
        connection.cursor().execute(SQL).fetchone()[0],
    )
print("duckdb", duckdb.__version__)
for statement, (own, cursor) in seen.items():
    print(f"{statement}: connection {own}, cursor {cursor}")
assert list(seen.values()) == [(True, False), (True, True)], "the behaviour has changed"
PYTHON
