"""Every command of the unmodified panther_analysis_tool that talks to an instance."""

import re
from pathlib import Path

import pytest
import yaml

from tests.serving.pat.conftest import COMMANDS, SCHEMA
from tests.serving.tables import assert_documented

pytestmark = pytest.mark.process


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
