#!/bin/sh
# panther_core can run the body of an earlier rule with the same ID.
#
# Expected: `Rule({"id": …, "body": …})` runs the given body.
# Actual: panther_core writes the body to a file named by the ID and imports it with Python's cache of
# compiled modules. The cache compares the size of the file and its time in whole seconds, so a second
# body of equal length, written within the same second, is not compiled: the first one runs again. Tests
# that compare versions of a rule do this. PYTHONDONTWRITEBYTECODE, which many containers set, hides it.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
unset PYTHONDONTWRITEBYTECODE
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export TMPDIR="$folder" # panther_core writes there
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    panther-analysis-tool==1.11.1 panther-core==0.16.3 >/dev/null 2>&1
"$folder/venv/bin/python" - <<'PYTHON'
import time
from importlib.metadata import version

from panther_core.rule import Rule


def answer(body: str) -> bool:
    rule = Rule({"id": "Example.Rule", "versionId": "1", "body": body})
    return rule.run({}, {}, {}).trigger_alert


time.sleep(1 - time.time() % 1)  # both are written within one second
first = answer("def rule(event):\n    return bool(1)\n")
second = answer("def rule(event):\n    return bool(0)\n")
longer = answer("def rule(event):\n    return bool(0)  # longer\n")
print("panther-core", version("panther-core"))
print("the first body returns True: ", first)
print("the second returns False:    ", second)
print("one of another length, False:", longer)
assert (first, second, longer) == (True, True, False), "the behaviour has changed"
PYTHON
