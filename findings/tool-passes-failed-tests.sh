#!/bin/sh
# panther_analysis_tool exits with 0 although it has marked a test with [FAIL].
#
# Expected: a test marked with [FAIL] is counted under "Failed", and the exit status is 1, so that a
# pipeline stops before the upload.
# Actual: the tool counts a failure when it prints the result of a failed function. It prints no such
# result if unique() raises, or if any function raises in a rule with `CreateAlert: false`. The test
# is marked with [FAIL], the summary has "Failed: 0", and the exit status is 0.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    panther-analysis-tool==1.11.1 panther-core==0.16.3 >/dev/null 2>&1
mkdir -p "$folder/content/rules"
cd "$folder/content"
for name in unique title; do
    cat > "rules/$name.py" <<PYTHON
def rule(_):
    return True


def $name(event):
    return event["missing"]
PYTHON
    cat > "rules/$name.yml" <<YAML
AnalysisType: rule
RuleID: Raises.In.$name
Enabled: true
Filename: $name.py
LogTypes: [AWS.CloudTrail]
Severity: Info
Tests:
  - Name: Matches
    ExpectedResult: true
    Log: {p_log_type: AWS.CloudTrail}
YAML
done
echo "CreateAlert: false" >> rules/title.yml
"$folder/venv/bin/panther_analysis_tool" --version
status=0
"$folder/venv/bin/panther_analysis_tool" test > "$folder/out" 2>&1 || status=$?
failed=$(grep -c "FAIL.*Matches" "$folder/out" || true)
echo "tests printed as [FAIL]: $failed; $(grep -o 'Failed: .*' "$folder/out"); exit status $status"
[ "$failed" = 2 ] && [ "$status" = 0 ] && grep -q "Failed: 0" "$folder/out"
