#!/bin/sh
# DuckDB's date_diff('week', …) counts whole periods of seven days, not starts of weeks.
#
# Expected: date_diff('week', …) counts the Mondays between two dates, as 'day' counts the midnights
# and 'month' the first days of months, and as Snowflake's DATEDIFF(week, …) does.
# Actual: it counts whole periods of seven days. From a Sunday to the next day are 0 weeks, although
# date_trunc('week', …) differs for these days. sqlglot translates Snowflake's function to DuckDB's
# without correcting the difference.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb

sunday, monday = "DATE '2026-01-04'", "DATE '2026-01-05'"
((weeks, days, differ),) = duckdb.sql(
    f"SELECT date_diff('week', {sunday}, {monday}), date_diff('day', {sunday}, {monday}), "
    f"date_trunc('week', {sunday}) <> date_trunc('week', {monday})"
).fetchall()
print("duckdb", duckdb.__version__)
print(f"weeks {weeks}, days {days}, in different weeks {differ}")
assert (weeks, days, differ) == (0, 1, True), "the behaviour has changed"
PYTHON
