#!/bin/sh
# Each call of sqlfluff.parse() copies the whole grammar of its dialect, which no query changes.
#
# Expected: the grammar of a dialect is loaded once, and the time of a call depends on its query.
# Actual: each call makes a deep copy of its configuration, which contains the expanded dialect. A
# query of two words creates thousands of objects. panther_analysis_tool test makes such a call for
# every scheduled query.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sqlfluff==4.2.2 >/dev/null 2>&1
"$folder/venv/bin/python" - <<'PYTHON'
import copy
import importlib.metadata

import sqlfluff
from sqlfluff.core.dialects.base import Dialect

QUERIES = 3
copied = []
rebuild = copy._reconstruct


def counting(x, memo, *rest, **options):
    copied.append(type(x))
    return rebuild(x, memo, *rest, **options)


print("sqlfluff", importlib.metadata.version("sqlfluff"))
sqlfluff.parse("SELECT 1", dialect="snowflake")  # loads the dialect
copy._reconstruct = counting
for _ in range(QUERIES):
    sqlfluff.parse("SELECT 1", dialect="snowflake")
print(f"{QUERIES} queries: {copied.count(Dialect)} grammars and {len(copied)} objects copied")
assert copied.count(Dialect) >= QUERIES and len(copied) > 1000 * QUERIES, "it has changed"
PYTHON
