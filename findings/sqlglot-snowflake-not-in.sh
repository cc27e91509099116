#!/bin/sh
# In Snowflake's dialect, sqlglot does not parse NOT IN with a subquery as IN.
#
# Expected: `x NOT IN (SELECT …)` is parsed like `NOT x IN (SELECT …)`, as Not(In).
# Actual: the result is NEQ(x, All(…)), in Snowflake's dialect only. Without a dialect, and with a list
# of values, the result is Not(In). So code that searches a parsed query for In misses every NOT IN
# with a subquery.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sqlglot==30.30.0
"$folder/venv/bin/python" - <<'PYTHON'
import sqlglot

seen = {}
for dialect in ("", "snowflake"):
    for values in ("(SELECT y FROM u)", "('a')"):
        query = sqlglot.parse_one(f"SELECT 1 FROM t WHERE x NOT IN {values}", read=dialect)
        condition = query.args["where"].this
        seen[dialect, values] = type(condition).__name__
print("sqlglot", sqlglot.__version__)
for (dialect, values), kind in seen.items():
    print(f"{dialect or 'no dialect'}, NOT IN {values}: {kind}")
assert list(seen.values()) == ["Not", "Not", "NEQ", "Not"], "the behaviour has changed"
PYTHON
