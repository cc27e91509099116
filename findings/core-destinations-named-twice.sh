#!/bin/sh
# If destinations() names one destination twice, panther_core ignores all that it returned.
#
# Expected: a repeated name counts once, as in a set.
# Actual: the repeated name is treated as an unknown destination. In batch mode, which is used
# to analyse events, the whole result is then replaced by None, so that the rule's YAML or the severity
# decides where the alert goes. Only a message at level INFO reports it. Outside batch mode,
# UnknownDestinationError is raised, with the name of a known destination.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
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
