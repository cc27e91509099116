"""What an instance, a reader and a clone of panther-analysis expect of every item."""

import ast
import sys

import pytest
import yaml

from tests.builders.events import CONTENT_FOLDERS, REPO

# https://docs.panther.com: generated fields are cut off beyond this.
MAX_FIELD = 1000

FILES = sorted(path for folder in CONTENT_FOLDERS for path in (REPO / folder).rglob("*.yml"))
SPECS = {path.name: yaml.safe_load(path.read_text()) for path in FILES}
DETECTIONS = {n: s for n, s in SPECS.items() if s["AnalysisType"] in ("rule", "correlation_rule")}
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

    def test_summary_attributes_are_the_ones_of_the_alert_list(self, name):
        expected = ["userAgent", "sourceIpAddress", "recipientAccountId", "p_any_aws_arns"]
        assert DETECTIONS[name]["SummaryAttributes"] == expected

    def test_there_is_a_test_that_matches_and_one_that_does_not(self, name):
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


def test_the_blocklist_is_off_until_it_is_set():
    spec = SPECS["aws_iam_assume_role_blocklist_ignored.yml"]
    assert spec["Enabled"] is False
    assert "Configuration Required" in spec["Tags"]
    assert spec["InlineFilters"][1]["Values"] == ["arn:aws:iam::123456789012:role/FullAdminRole"]


def test_the_correlation_lookback_fits_the_window_of_the_failed_attempts():
    """One and a half windows of lookback and half a window of rate: no pair falls between runs."""
    from tests.builders.rules import FAILED_ATTEMPTS, in_place

    window = in_place(FAILED_ATTEMPTS).module.WINDOW_MINUTES
    spec = SPECS["aws_list_roles_with_multiple_failed_role_attempts.yml"]
    detection = spec["Detection"][0]
    assert detection["LookbackWindowMinutes"] >= 1.5 * window
    assert detection["Schedule"]["RateMinutes"] <= 0.5 * window


def test_filters_put_the_cheap_condition_first():
    for spec in SPECS.values():
        if "InlineFilters" in spec:
            assert spec["InlineFilters"][0]["KeyPath"] == "eventName"
