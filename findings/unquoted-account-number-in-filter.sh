#!/bin/sh
# An AWS account number without quotes in InlineFilters is accepted, but never matches, or raises.
#
# Expected: `panther_analysis_tool test` refuses a number where panther_core compares text, or
# panther_core compares the number as text; and all account numbers behave in the same way.
# Actual: the tool's schema accepts numbers as Value and in Values, and the tool exits with 0. In
# panther_core, IsIn and Equals then never match, and Contains raises TypeError for each event. It
# depends on the digits whether YAML 1.1 reads an account number as a number: one that begins with 0
# is octal, so it gets another value; with an 8 or a 9 as well, it is text, and the filter works.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    panther-analysis-tool==1.11.1 >/dev/null 2>&1
mkdir -p "$folder/content/rules"
cd "$folder/content"
cat > rules/example.py <<'PYTHON'
def rule(_):
    return True
PYTHON
cat > rules/example.yml <<'YAML'
AnalysisType: rule
RuleID: Example.Rule
Enabled: true
Filename: example.py
LogTypes: [AWS.CloudTrail]
Severity: Info
InlineFilters:
  - KeyPath: recipientAccountId
    Condition: IsIn
    Values:
      - 123456789012
  - KeyPath: requestParameters.roleArn
    Condition: Contains
    Value: 123456789012
Tests:
  - Name: Matches
    ExpectedResult: true
    Log: {p_log_type: AWS.CloudTrail}
YAML
"$folder/venv/bin/panther_analysis_tool" --version
status=0
"$folder/venv/bin/panther_analysis_tool" test > "$folder/out" 2>&1 || status=$?
echo "exit status of the tool: $status"
[ "$status" = 0 ] || { cat "$folder/out"; exit 1; }
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata

import yaml
from panther_core.filter import Filter

print("panther-core", importlib.metadata.version("panther-core"))
found = {}
for account in ("123456789012", "012345670123", "012345678901"):
    event = {"account": account, "role": f"arn:aws:iam::{account}:role/Example"}
    value = yaml.safe_load(account)
    for operator, target, given in (
        ("in", "account", [value]),
        ("==", "account", value),
        ("contains", "role", value),
    ):
        condition = {"target": target, "operator": operator, "value": given}
        try:
            result = Filter(condition).filter(event)
        except TypeError as error:
            result = f"TypeError: {error}"
        found[account, operator] = result
        print(f"{account} read as {value!r}, {operator}: {result}")
for account in ("123456789012", "012345670123"):
    if found[account, "in"] or found[account, "=="]:
        raise SystemExit("numbers are compared as text now")
    if not str(found[account, "contains"]).startswith("TypeError"):
        raise SystemExit("Contains takes numbers now")
if not all(found["012345678901", operator] is True for operator in ("in", "==", "contains")):
    raise SystemExit("a number with an 8 or 9 after 0 is no text any more")
PYTHON
