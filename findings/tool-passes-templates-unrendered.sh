#!/bin/sh
# panther_analysis_tool does not render query templates, so it passes invalid ones.
#
# Expected: `panther_analysis_tool test` parses the SQL of scheduled queries (to validate the names of
# their tables), so a template that imports macros from a missing query fails.
# Actual: the tool cannot parse any template (`-- pragma: template`, found in eleven queries of
# panther-analysis). It logs "Failed to parse query … Skipping table name validation" at level INFO and
# exits with 0, whether the macros exist or not. The syntax of macros and imports in these templates is
# pongo2's. Jinja2 rejects both statements, so it cannot be used for the check without changes.
#
# Exit status: 0 if the behaviour is unchanged, 1 if it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    panther-analysis-tool==1.11.1 jinja2==3.1.6 >/dev/null 2>&1
mkdir -p "$folder/content/queries"
cat > "$folder/content/queries/example.yml" <<'YAML'
AnalysisType: scheduled_query
QueryName: Example
Enabled: true
Schedule: {RateMinutes: 30, TimeoutMinutes: 5}
SnowflakeQuery: |
  -- pragma: template
  {% import 'no_such_query' no_such_macro %}
  WITH {{ no_such_macro('1 day') }} SELECT * FROM found
YAML
cd "$folder/content"
"$folder/venv/bin/panther_analysis_tool" --version
status=0
"$folder/venv/bin/panther_analysis_tool" test > "$folder/out" 2>&1 || status=$?
grep "Failed to parse query" "$folder/out" || { cat "$folder/out"; exit 1; }
echo "exit status of the tool: $status"
[ "$status" = 0 ] || exit 1
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata

from jinja2 import Environment, TemplateSyntaxError

print("jinja2", importlib.metadata.version("jinja2"))
for text in ("{% macro a(x) export %}{{ x }}{% endmacro %}", "{% import 'other' a, b %}"):
    try:
        Environment().parse(text)
    except TemplateSyntaxError as error:
        print(f"{text}: {error}")
    else:
        raise SystemExit(f"{text}: is taken now")
PYTHON
