"""The unmodified panther_analysis_tool, an instance with a replay, and content for both."""

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
