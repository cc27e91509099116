"""Metadata that an instance, a reader or a clone of panther-analysis expects of every item."""

import ast
import re
import sys

import pytest
import yaml

from tests.builders.events import CONTENT_FOLDERS, REPO
from tests.builders.queries import query_specs

# Longer generated fields are truncated: https://docs.panther.com
MAX_FIELD = 1000

FILES = sorted(path for folder in CONTENT_FOLDERS for path in (REPO / folder).rglob("*.yml"))
SPECS = {path.name: yaml.safe_load(path.read_text()) for path in FILES}
KINDS = ("rule", "scheduled_rule", "correlation_rule")
DETECTIONS = {n: s for n, s in SPECS.items() if s["AnalysisType"] in KINDS}
QUERIES = {spec["QueryName"]: spec for spec in query_specs().values()}
BODIES = sorted(path for folder in CONTENT_FOLDERS for path in (REPO / folder).rglob("*.py"))
GLOBALS = {spec["GlobalID"] for spec in SPECS.values() if spec["AnalysisType"] == "global"}

ON_AN_INSTANCE = {"boto3", "botocore", "panther_detection_helpers", "panther_core"}
OFFLINE_ONLY = {"yaml"}


@pytest.mark.parametrize("name", DETECTIONS)
class TestDetections:
    def test_static_texts_fit_into_an_alert(self, name):
        for field in ("Description", "Runbook", "DisplayName"):
            assert len(DETECTIONS[name].get(field, "")) <= MAX_FIELD

    def test_alerts_have_a_runbook_of_three_steps(self, name):
        spec = DETECTIONS[name]
        if spec.get("CreateAlert", True):
            steps = [line[:2] for line in spec["Runbook"].splitlines()]
            assert steps == ["1.", "2.", "3."]

    def test_queries_that_texts_name_exist(self, name):
        texts = DETECTIONS[name]["Description"] + DETECTIONS[name].get("Runbook", "")
        named = set(re.findall('"(AWS [A-Z][^"]+)"', texts)) - {"AWS Internal"}
        assert named <= set(QUERIES)

    def test_the_sidecar_has_a_test_that_matches_and_one_that_does_not(self, name):
        assert {t["ExpectedResult"] for t in DETECTIONS[name]["Tests"]} == {True, False}


@pytest.mark.parametrize("body", BODIES, ids=lambda path: path.name)
def test_bodies_import_only_what_an_instance_has(body):
    for node in ast.walk(ast.parse(body.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            allowed = top in sys.stdlib_module_names or top in ON_AN_INSTANCE | GLOBALS
            assert allowed or (top in OFFLINE_ONLY and node.col_offset > 0), name


def test_alerts_name_summary_attributes_that_their_events_have():
    """The blocklist has the attributes of Panther's rule with the same ID."""
    event = ["userAgent", "sourceIPAddress", "recipientAccountId", "p_any_aws_arns"]
    row = ["principal", "roles", "sourceIPAddress", "userAgent"]
    attributes = {name: spec["SummaryAttributes"] for name, spec in DETECTIONS.items()}
    assert attributes == {
        "aws_iam_assume_role_blocklist_ignored.yml": [
            *("userAgent", "sourceIpAddress", "recipientAccountId", "p_any_aws_arns")
        ],
        "aws_iam_list_roles.yml": event,
        "aws_multiple_failed_role_attempts.yml": event,
        "aws_role_search.yml": event,
        "aws_role_escalation_succeeded.yml": row,
        "aws_list_roles_with_multiple_failed_role_attempts.yml": event,
        "aws_list_roles_with_failed_role_fan_out.yml": event,
    }
    sql = QUERIES["AWS Role Escalation Succeeded"]["SnowflakeQuery"]
    assert all(f'AS "{attribute}"' in sql for attribute in row)


@pytest.mark.parametrize(
    "name", ["aws_iam_assume_role_blocklist_ignored.yml", "aws_role_escalation_succeeded.yml"]
)
def test_containment_stops_the_caller_before_the_roles_sessions_are_revoked(name):
    """Otherwise the caller could assume the role again."""
    runbook = DETECTIONS[name]["Runbook"].lower()
    steps = [runbook.index(text) for text in ("stop the caller", "trust polic")]
    assert steps == sorted(steps) and "sessions" in runbook[steps[-1] :]
    assert "revoke the" in runbook[steps[-1] :]


def test_every_query_is_named_by_a_runbook_or_a_page():
    pages = "".join(path.read_text() for path in (REPO / "docs").glob("*.md"))
    texts = pages + "".join(spec.get("Runbook", "") for spec in DETECTIONS.values())
    assert [name for name in QUERIES if name not in " ".join(texts.split())] == []


def test_the_blocklist_rule_can_be_configured():
    spec = SPECS["aws_iam_assume_role_blocklist_ignored.yml"]
    assert "Configuration Required" in spec["Tags"]
    assert isinstance(spec["Enabled"], bool)


def test_the_vendors_tests_of_the_blocklist_come_first():
    first = SPECS["aws_iam_assume_role_blocklist_ignored.yml"]["Tests"][:3]
    assert [(test["Name"], test["ExpectedResult"]) for test in first] == [
        ("IAM Blocklisted Role Assumed", True),
        ("IAM Non Blocklisted Role Assumed", False),
        ("Error Assuming IAM Blocked Role", False),
    ]
    logs = [test["Log"] for test in first]
    assert len({log["eventID"] for log in logs}) == 1
    assert all("accesKeyId" in log["userIdentity"] for log in logs)


def test_filters_put_the_cheap_condition_first():
    for spec in SPECS.values():
        if "InlineFilters" in spec:
            assert spec["InlineFilters"][0]["KeyPath"] == "eventName"
