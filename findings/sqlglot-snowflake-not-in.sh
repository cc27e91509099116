#!/bin/sh
# One would expect sqlglot to parse `x NOT IN (SELECT …)` of Snowflake as it parses `NOT x IN
# (SELECT …)`: Not(In), which is what code that looks for IN looks for.
# It makes NEQ(x, All(…)) of it, in Snowflake's dialect only; the same text without a dialect, and a
# list of values, are Not(In). An analysis of IN misses every NOT IN with a subquery.
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
