"""Every command of the unmodified panther_analysis_tool that talks to an instance."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.builders.environments import clean_environment
from tests.builders.replays import simulated
from tests.instance.conftest import TOKEN
from tests.instance.test_uploads import RULE
from tests.serving.conftest import fed
from tests.serving.tables import assert_documented

pytestmark = pytest.mark.process

TOOL = Path(sys.executable).with_name("panther_analysis_tool")
BODY = "def rule(event):\n    return event.get('eventName') == 'ListRoles'\n"
SCHEMA = {
    "schema": "Custom.Application",
    "version": 0,
    "fields": [
        {"name": "time", "type": "timestamp", "timeFormats": ["rfc3339"], "isEventTime": True},
        {"name": "who", "type": "object", "fields": [{"name": "name", "type": "string"}]},
        {"name": "tags", "type": "array", "element": {"type": "string"}},
    ],
}


@pytest.fixture
def instance(tmp_path):
    """An instance that replays a trail once it has content."""
    trail = simulated(tmp_path / "trail.json.gz")
    with fed(tmp_path / "state", trail, until="waits for content") as client:
        yield client


@pytest.fixture
def tool(instance, tmp_path):
    """Return a function that runs the tool in a folder with a rule and a folder of schemas."""
    rules, schemas = tmp_path / "content" / "rules", tmp_path / "schemas"
    rules.mkdir(parents=True)
    schemas.mkdir()
    test = {"Name": "one", "ExpectedResult": True, "Log": {"eventName": "ListRoles"}}
    (rules / "rule.yml").write_text(yaml.safe_dump(RULE | {"Tests": [test]}))
    (rules / "rule.py").write_text(BODY)
    (schemas / "application.yml").write_text(yaml.safe_dump(SCHEMA))
    server = {"PANTHER_API_HOST": instance.url, "PANTHER_API_TOKEN": TOKEN}

    def tool(*arguments: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [TOOL, *map(str, arguments)],
            cwd=tmp_path / "content",
            env=clean_environment(**server | environment),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return tool


# Each command, its arguments, its exit status, and a part of its output.
COMMANDS = (
    ("check-connection", (), 0, "connection successful"),
    ("test", (), 0, "Passed: 1"),
    ("validate", (), 0, "Validation success"),
    ("upload", ("--out", "."), 0, "Upload succeeded"),
    ("update-custom-schemas", ("--path", "../schemas"), 0, "Successfully created schema"),
    ("update-custom-schemas", ("--path", "../schemas"), 0, "Successfully updated schema"),
    ("enrich-test-data", (), 0, "No analysis specs enriched"),
    ("benchmark", ("--out", ".", "--iterations", "2"), 0, "is: Highly performant"),
    (
        "delete",
        ("--no-confirm", "--analysis-id", RULE["RuleID"]),
        0,
        "successfully deleted detections",
    ),
)


def test_every_command_prints_its_own_message(tool, instance):
    rows = []
    for command, arguments, status, message in COMMANDS:
        found, out = tool(command, *arguments)
        assert "Unhandled exception" not in out, out
        assert (found, message in out) == (status, True), (command, out)
        if command == "upload":
            instance.messages.wait_for("new alerts")
        outcome = "succeeds" if status == 0 else "is refused"
        row = f"| `{command}` | {outcome}: “{message}” |"
        rows += [row] if not any(f"`{command}`" in known for known in rows) else []
    assert_documented("panther_analysis_tool", ["| command | outcome |", "|---|---|", *rows])
    query = "{schemas(input: {isManaged: false}) {edges {node {name revision spec}}}}"
    (edge,) = instance.ask(query)["edges"]
    assert (edge["node"]["name"], edge["node"]["revision"]) == ("Custom.Application", 2)
    assert yaml.safe_load(edge["node"]["spec"]) == SCHEMA


def test_a_benchmark_can_be_repeated_as_the_tool_suggests_and_fails_with_its_rule(tool, instance):
    assert tool("upload", "--out", ".")[0] == 0
    instance.messages.wait_for("new alerts")
    once = ("benchmark", "--out", ".", "--iterations", "1")
    _, out = tool(*once)
    hour = re.search(r"--hour (\S+)", out)[1]
    status, again = tool(*once, "--hour", hour)
    assert (status, "tested over 1 iterations" in again) == (0, True), again
    body = Path(instance.state.parent, "content", "rules", "rule.py")
    body.write_text("def rule(event):\n    return event['no such field']\n")
    status, out = tool(*once)
    assert "Please ensure the correctness of your rule" in out
    assert "Unhandled" not in out


UNHANDLED = "Unhandled exception: "


@pytest.mark.parametrize(
    ("wrong", "message"),
    (
        ({"PANTHER_API_TOKEN": "wrong"}, "Forbidden: the API token is missing or wrong"),
        ({"PANTHER_API_HOST": "http://127.0.0.1:9/public/graphql"}, "Cannot connect to host"),
    ),
)
def test_a_refusal_has_the_message_of_the_server_even_if_the_tool_raises_it(tool, wrong, message):
    """Most commands do not handle a refusal of their first request: see docs/serve.md."""
    raising = [command for command in COMMANDS if command[0] not in ("test", "validate")]
    for command, arguments, *_ in {entry[0]: entry for entry in raising}.values():
        status, out = tool(command, *arguments, **wrong)
        assert status == 1 and UNHANDLED in out and message in out, (command, out)
    status, out = tool("validate", **wrong)
    assert (status, UNHANDLED in out, message in out) == (1, False, True), out
    status, out = tool("test", **wrong)
    assert (status, UNHANDLED in out, "Passed: 1" in out) == (0, False, True), out


def test_an_invalid_schema_is_named_with_its_key_even_if_the_tool_raises_it(tool, tmp_path):
    fields = [{"name": "a", "type": "text"}]
    path = tmp_path / "schemas" / "application.yml"
    path.write_text(yaml.safe_dump(SCHEMA | {"fields": fields}))
    status, out = tool("update-custom-schemas", "--path", "../schemas")
    assert status == 1 and UNHANDLED in out
    assert "Custom.Application: fields[0].type: 'text' is not one of" in out


UPDATE = """mutation($i: CreateOrUpdateSchemaInput!)
    {createOrUpdateSchema(input: $i) {schema {name revision}}}"""


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"schema": "Custom.Other"}, "schema: must be 'Custom.Application', not 'Custom.Other'"),
        ({"version": 1}, "version: must be 0, not 1"),
        ({"fields": []}, "fields: must be a list of fields"),
        ({"fields": [{"type": "string"}]}, "fields[0]: needs a name"),
        ({"fields": [{"name": "a", "type": "text"}]}, "fields[0].type: 'text' is not one of"),
        ({"fields": [{"name": "a", "type": "array"}]}, "fields[0].element: is missing"),
        ({"fields": [{"name": "a", "type": "object"}]}, "fields[0].fields: must be a list"),
        ({"fields": [{"name": "a", "type": "timestamp"}]}, "fields[0].timeFormats: is missing"),
        ({"fields": [{"name": "a", "type": "int"}] * 2}, "'a' appears twice"),
    ),
)
def test_an_invalid_schema_is_refused_with_its_key(instance, change, message):
    spec = yaml.safe_dump(SCHEMA | change)
    schema = {"name": "Custom.Application", "spec": spec, "revision": 0}
    (error,) = instance.send(UPDATE, i=schema)["errors"]
    assert message in error["message"]
    assert instance.ask("{schemas(input: {isManaged: false}) {edges {node {name}}}}")["edges"] == []


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    (
        ("Custom.Application", "a: [", "while parsing"),
        ("Custom.Application", "- 1", "must be a mapping"),
        ("Application", "version: 0", "is not the name of a custom log type"),
    ),
)
def test_anything_but_a_schema_is_refused(instance, name, spec, message):
    (error,) = instance.send(UPDATE, i={"name": name, "spec": spec, "revision": 0})["errors"]
    assert message in error["message"]


def test_a_schema_that_was_changed_concurrently_is_not_overwritten(instance):
    schema = {"name": "Custom.Application", "spec": yaml.safe_dump(SCHEMA), "revision": 0}
    assert instance.ask(UPDATE, i=schema)["schema"]["revision"] == 1
    (error,) = instance.send(UPDATE, i=schema)["errors"]
    assert "is stored with revision 1" in error["message"]
