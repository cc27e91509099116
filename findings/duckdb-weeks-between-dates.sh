#!/bin/sh
# One would expect date_diff('week', …) of DuckDB to count the Mondays between two dates, as it counts
# the midnights for 'day' and the firsts for 'month', and as DATEDIFF(week, …) of Snowflake does.
# It counts whole weeks of seven days in between: from a Sunday to the Monday after it are 0 weeks,
# although date_trunc('week', …) of the two differs. sqlglot hands one over as the other.
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
