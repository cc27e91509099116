"""Refusals of an instance, as panther_analysis_tool shows them."""

import pytest
import yaml

from tests.serving.pat.conftest import COMMANDS, SCHEMA

pytestmark = pytest.mark.process

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
