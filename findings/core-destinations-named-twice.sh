#!/bin/sh
# A destination that destinations() names twice makes panther_core drop all that it named.
#
# One would expect: a name that is there twice counts once, as in a set.
# What is so: the second one is taken for an unknown destination. In batch mode, in which events are
# analysed, the override is then dropped as a whole (None: the alert goes where the rule's YAML or the
# severity says), with a line at level INFO only; otherwise UnknownDestinationError is raised, with
# the name of a destination that is known.
#
# Exit status: 0 if it is still so, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    panther-analysis-tool==1.11.1 panther-core==0.16.3 >/dev/null 2>&1
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
from types import SimpleNamespace

from panther_core.rule import Rule

BODY = "def rule(_):\n    return True\n\n\ndef destinations(_):\n    return {}\n"
known = {name: SimpleNamespace(destination_id=f"id-{name}") for name in ("slack", "jira")}
print("panther-core", importlib.metadata.version("panther-core"))
found = {}
for names in (["slack", "jira"], ["slack", "jira", "slack"]):
    rule = Rule({"id": f"Rule{len(names)}", "versionId": "1", "body": BODY.format(names)})
    for batch in (True, False):
        result = rule.run({}, {}, known, batch_mode=batch)
        found[len(names), batch] = result.destinations_output, result.destinations_exception
        print(f"{names}, batch_mode={batch}: {found[len(names), batch]}")
assert found[2, True] == found[2, False] == (["id-slack", "id-jira"], None), "it has changed"
assert found[3, True] == (None, None), "the behaviour has changed"
assert "slack" in str(found[3, False][1]), "the behaviour has changed"
PYTHON
