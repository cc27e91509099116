#!/bin/sh
# Each sqlfluff.parse() copies the whole grammar of its dialect, which no query changes.
#
# One would expect: the grammar is loaded once for a dialect, and a call costs what its query costs.
# What is so: the configuration of each call is copied in depth, and the expanded dialect is a part of
# it: thousands of objects are created for a query of two words. A program that parses
# many queries pays for it each time; panther_analysis_tool test does so for every scheduled query.
#
# Exit status: 0 if it is still so, 1 if it has changed.
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
