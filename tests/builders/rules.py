"""Loads this repository's rules in place, as panther_analysis_tool does, or from the body alone.

From the body, with translated filters, is how an instance loads them.
"""

from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml
from panther_core.rule import Rule

from local_panther.content.filters import transpile_filters
from local_panther.content.importing import BodyRule
from tests.builders.events import REPO

RULES = REPO / "rules" / "aws_cloudtrail_rules"
BLOCKLIST = "aws_iam_assume_role_blocklist_ignored"
LIST_ROLES = "aws_iam_list_roles"
ROLE_SEARCH = "aws_role_search"
FAILED_ATTEMPTS = "aws_multiple_failed_role_attempts"


def spec_of(name: str, folder: Path = RULES) -> dict:
    return deepcopy(_parsed((folder / f"{name}.yml").read_text()))


@cache
def _parsed(text: str) -> dict:
    return yaml.safe_load(text)


def in_place(name: str, folder: Path = RULES) -> Rule:
    """Load a rule as panther_analysis_tool does without a token: it applies no filters."""
    spec = spec_of(name, folder)
    path = str(folder / spec["Filename"])
    return loaded(Rule({"id": spec["RuleID"], "versionId": "test", "path": path}))


def from_body(name: str, tmp_path: Path, folder: Path = RULES) -> Rule:
    """Load a rule as an instance does: without its sidecar, and with translated filters."""
    spec = spec_of(name, folder)
    config = {
        "id": spec["RuleID"],
        "versionId": "test",
        "body": (folder / spec["Filename"]).read_text(),
        "folder": str(tmp_path / "bodies"),
        "filters": transpile_filters(spec.get("InlineFilters")),
    }
    return loaded(BodyRule(config))


def loaded(rule: Rule) -> Rule:
    if rule.setup_exception:
        raise rule.setup_exception
    return rule


def matches(rule: Rule, record) -> bool:
    result = rule.run(record, {}, {}, batch_mode=True)
    assert result.fatal_error is None, result.error_message
    return result.trigger_alert
