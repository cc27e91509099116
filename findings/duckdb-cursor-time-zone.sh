#!/bin/sh
# Cursors of a DuckDB connection do not have its time zone.
#
# Expected: a cursor, with which a second query is run, has the settings of its connection, as in
# Python's other database modules.
# Actual: `SET TimeZone` on a connection does not apply to its cursors, which use the machine's zone.
# The same comparison of a TIMESTAMP with a TIMESTAMPTZ is true on the connection and false on a
# cursor. `SET GLOBAL TimeZone` applies to both.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
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
