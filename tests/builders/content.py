"""Content repositories for tests, written from bodies."""

import json
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

import yaml

from tests.builders.events import START, call

# A rule that matches each event, with an alert for each
EACH_EVENT = """
def rule(event):
    return True

def title(event):
    return "seen"

def dedup(event):
    return event["eventID"]
"""


def write_rules(folder: Path, **bodies: str) -> Path:
    """Write a repository with one streaming rule for each body; the rule's ID is `Test.<name>`."""
    rules = folder / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    for name, body in bodies.items():
        (rules / f"{name}.py").write_text(dedent(body))
        spec = {
            "AnalysisType": "rule",
            "RuleID": f"Test.{name}",
            "Filename": f"{name}.py",
            "Enabled": True,
            "LogTypes": ["AWS.CloudTrail"],
            "Severity": "High",
        }
        (rules / f"{name}.yml").write_text(yaml.safe_dump(spec))
    return folder


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write texts by their paths within a folder, and return the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_calls(path: Path, count: int) -> Path:
    """Write calls of ListRoles, a second apart, with the IDs event-0, event-1 and so on."""
    numbers = range(count)
    return write_lines(
        path, (call("ListRoles", time=START + n, eventID=f"event-{n}") for n in numbers)
    )


def write_lines(path: Path, records: Iterable[dict]) -> Path:
    """Write records as JSON lines, one after the other."""
    with path.open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def write_data_model(folder: Path, code: str, name: str, method: str) -> None:
    """Write a data model of CloudTrail that maps one name to a method of the given code."""
    models = folder / "data_models"
    models.mkdir(exist_ok=True)
    (models / "model.py").write_text(code)
    (models / "model.yml").write_text(
        "AnalysisType: datamodel\nDataModelID: M\nEnabled: true\nLogTypes: [AWS.CloudTrail]\n"
        f"Filename: model.py\nMappings:\n  - {{Name: {name}, Method: {method}}}\n"
    )


def write_helper(folder: Path, name: str, code: str) -> None:
    """Write a helper into a new folder; its ID is its name."""
    folder.mkdir(parents=True)
    spec = {"AnalysisType": "global", "GlobalID": name, "Filename": f"{name}.py"}
    (folder / f"{name}.yml").write_text(yaml.safe_dump(spec))
    (folder / f"{name}.py").write_text(code)
