"""Queries that import macros, uploaded by panther_analysis_tool with and without the macros."""

import re
import shutil

import pytest

from local_panther.instance.store.index import stored_content
from tests.builders.events import REPO
from tests.instance.commands import tool_for

pytestmark = pytest.mark.process

HUNT = "aws_role_escalation_hunt_query"
SUCCEEDED = "aws_role_escalation_succeeded_query"


@pytest.fixture
def content(tmp_path):
    """The queries of this repository."""
    shutil.copytree(REPO / "queries", tmp_path / "content" / "queries")
    return tmp_path / "content"


@pytest.fixture
def tool(instance, content):
    return tool_for(instance, content)


def alone(name, content) -> list[str]:
    """Put a query, or the macros, into a folder of its own; return the options that select it."""
    folder = content / name / "queries"
    folder.mkdir(parents=True)
    shutil.copy(content / "queries" / f"{name}.yml", folder)
    return ["--path", name]


@pytest.mark.parametrize(
    "name, chosen",
    [
        (SUCCEEDED, lambda _: ["--filter", "AnalysisType=scheduled_query"]),
        (HUNT, lambda content: alone(HUNT, content)),
    ],
)
def test_a_query_without_the_macros_that_it_imports_is_refused(
    tool, instance, content, name, chosen
):
    arguments = chosen(content)
    for command in (["validate"], ["upload", "--skip-tests"]):
        status, out = tool(*command, *arguments)
        assert status == 1 and not instance.files() and f"queries/{name}.yml" in out
        missing = r"SnowflakeQuery, line \d+: imports role_settings, role_calls, role_windows"
        assert re.search(missing, out)
        assert "from the query 'aws_role_macros', which is missing" in " ".join(out.split())


def test_a_query_alone_is_accepted_once_its_macros_are_stored(tool, instance, content):
    for name in ("aws_role_macros", HUNT):
        status, out = tool("upload", "--skip-tests", *alone(name, content))
        assert status == 0 and "Upload succeeded" in out
    assert (stored_content(instance.state) / "queries/AWS Role Escalation Hunt.yml").is_file()
