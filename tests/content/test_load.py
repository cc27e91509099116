"""Tests of loading content as an instance does, and of the errors for items that do not load."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from local_panther.content.left_out import Reason
from local_panther.content.load import loaded_content
from local_panther.content.schedule import parse_schedule
from local_panther.errors import ContentError, FieldError
from tests.builders.events import REPO
from tests.builders.replays import BLOCKLIST as BLOCKLIST_ID
from tests.builders.replays import blocklist_is_enabled

RULES = "rules/aws_cloudtrail_rules"
BLOCKLIST = f"{RULES}/aws_iam_assume_role_blocklist_ignored.yml"
LIST_ROLES = f"{RULES}/aws_iam_list_roles"
CORRELATION = "correlation_rules/aws_list_roles_with_multiple_failed_role_attempts.yml"


def edit(path: Path, **fields) -> None:
    spec = yaml.safe_load(path.read_text()) | fields
    path.write_text(yaml.safe_dump({k: v for k, v in spec.items() if v is not None}))


def problems(folder: Path) -> str:
    with pytest.raises(ContentError) as caught, loaded_content(folder):
        pass
    return str(caught.value)


def test_this_repository_loads():
    with loaded_content(REPO) as content:
        rule_ids = {rule.metadata.rule_id for rule in content.rules}
        disabled = content.ids_left_out(Reason.DISABLED)
        assert rule_ids - {BLOCKLIST_ID} == {
            "AWS.CloudTrail.IAMListRoles",
            "AWS.CloudTrail.MultipleFailedRoleAttempts",
            "AWS.CloudTrail.RoleSearch",
        }
        assert disabled == ([] if blocklist_is_enabled() else [BLOCKLIST_ID])
        assert (BLOCKLIST_ID in rule_ids) == (not disabled)
        assert content.data_models.keys() == {"AWS.CloudTrail"}
        assert {rule.metadata.rule_id for rule in content.correlation_rules} == {
            "AWS.CloudTrail.ListRoles.WITH.MultipleFailedRoleAttempts",
            "AWS.CloudTrail.ListRoles.WITH.FailedRoleFanOut",
        }


def test_disabled_items_can_be_included():
    with loaded_content(REPO, include_disabled=True) as content:
        assert len(content.rules) == 4 and not content.ids_left_out(Reason.DISABLED)


def test_the_event_names_of_a_rule_are_those_that_its_filters_can_pass():
    with loaded_content(REPO, include_disabled=True) as content:
        names = {rule.metadata.rule_id: rule.event_names for rule in content.rules}
    assert names["AWS.CloudTrail.IAMListRoles"] == {
        "ListRoles",
        "GetAccountAuthorizationDetails",
        "ListInstanceProfiles",
        "ListDiscoveredResources",
        "ListResources",
    }
    attempts = {"AssumeRole", "UpdateAssumeRolePolicy", "AssumeRoleWithWebIdentity"}
    assert names["AWS.CloudTrail.MultipleFailedRoleAttempts"] == attempts
    assert names["AWS.CloudTrail.RoleSearch"] == attempts


def test_bodies_run_without_their_sidecars():
    with loaded_content(REPO, include_disabled=True) as content:
        for rule in content.rules:
            body = Path(rule.detection.module.__file__)
            assert body.exists() and not list(body.parent.glob("*.yml"))


def test_loading_leaves_no_modules_paths_or_folders_behind():
    before, path = set(sys.modules), list(sys.path)
    with loaded_content(REPO) as content:
        folder = Path(content.rules[0].detection.module.__file__).parent
    assert sys.path == path and not folder.exists()
    assert {name for name in set(sys.modules) - before if "helpers" in name} == set()


def test_content_of_two_folders_does_not_mix(content_copy):
    helper = content_copy / "global_helpers" / "aws_role_activity_helpers.py"
    helper.write_text(helper.read_text() + "\nMARK = 'changed'\n")

    def names(content):
        (rule,) = (r for r in content.rules if r.metadata.rule_id == "AWS.CloudTrail.IAMListRoles")
        return rule.detection.module.is_role_discovery.__globals__

    with loaded_content(content_copy) as content:
        assert names(content)["MARK"] == "changed"
    with loaded_content(REPO) as content:
        assert "MARK" not in names(content)


@pytest.mark.parametrize(
    "file, fields, named",
    [
        (BLOCKLIST, {"Severity": "Terrible"}, "Severity"),
        (BLOCKLIST, {"Severity": None}, "Severity"),
        (BLOCKLIST, {"Colour": "red"}, "Colour"),
        (f"{LIST_ROLES}.yml", {"Filename": "missing.py"}, "Filename: missing.py cannot be read"),
        (
            f"{LIST_ROLES}.yml",
            {"InlineFilters": [{"KeyPath": "a", "Condition": "Resembles", "Value": "b"}]},
            "InlineFilters[0].Condition: 'Resembles'",
        ),
        (
            f"{LIST_ROLES}.yml",
            {"RuleID": "AWS.CloudTrail.MultipleFailedRoleAttempts"},
            "Conflicting AnalysisID",
        ),
    ],
)
def test_an_invalid_field_is_named_with_its_file(content_copy, file, fields, named):
    edit(content_copy / file, **fields)
    found = problems(content_copy)
    assert named in found and ".yml: " in found


def test_a_body_that_does_not_import_is_named(content_copy):
    (content_copy / f"{LIST_ROLES}.py").write_text("import no_such_module\n")
    found = problems(content_copy)
    assert f"{LIST_ROLES}.yml: Filename: import failed: ModuleNotFoundError" in found


def test_a_body_without_a_rule_is_named(content_copy):
    (content_copy / f"{LIST_ROLES}.py").write_text("x = 1\n")
    assert "method named 'rule'" in problems(content_copy)


def test_broken_yaml_is_named(content_copy):
    (content_copy / BLOCKLIST).write_text("RuleID: [")
    assert BLOCKLIST in problems(content_copy)


def test_all_problems_are_reported_at_once(content_copy):
    edit(content_copy / f"{LIST_ROLES}.yml", Filename="missing.py")
    (content_copy / "global_helpers" / "sidecar_filter_helpers.py").write_text("1 +")
    found = problems(content_copy)
    assert "missing.py" in found and "SyntaxError" in found


def test_a_second_data_model_for_a_log_type_is_refused(content_copy):
    second = {
        "AnalysisType": "datamodel",
        "DataModelID": "Another",
        "Enabled": True,
        "LogTypes": ["Okta.SystemLog", "AWS.CloudTrail"],
        "Mappings": [{"Name": "x", "Path": "y"}],
    }
    (content_copy / "data_models" / "second.yml").write_text(yaml.safe_dump(second))
    assert "AWS.CloudTrail already has an enabled data model" in problems(content_copy)
    with loaded_content(content_copy, strict=False) as content:
        assert "Okta.SystemLog" not in content.data_models


def test_a_step_whose_rule_does_not_exist_is_refused(content_copy):
    (content_copy / f"{LIST_ROLES}.yml").unlink()
    found = problems(content_copy)
    assert CORRELATION in found and "rule AWS.CloudTrail.IAMListRoles is not in this" in found


def test_correlation_rules_that_depend_on_themselves_are_refused(content_copy):
    first = yaml.safe_load((content_copy / CORRELATION).read_text())
    second = first | {"RuleID": "Second", "Tests": []}
    own = first["Detection"][0]["Group"]
    circle = [own[0], {"ID": "FailedAttempts", "RuleID": "Second"}]
    back = [own[0], {"ID": "FailedAttempts", "RuleID": first["RuleID"]}]
    edit(content_copy / CORRELATION, Detection=[first["Detection"][0] | {"Group": circle}])
    second["Detection"] = [first["Detection"][0] | {"Group": back}]
    (content_copy / "correlation_rules" / "second.yml").write_text(yaml.safe_dump(second))
    found = problems(content_copy)
    assert f"{CORRELATION}: Detection: step FailedAttempts: rule Second depends on" in found


@pytest.mark.parametrize("minutes, seconds", [(None, 3600), (0, 3600), (1, 300), (30, 1800)])
def test_dedup_periods_are_bounded_as_on_an_instance(content_copy, minutes, seconds):
    edit(content_copy / f"{LIST_ROLES}.yml", DedupPeriodMinutes=minutes)
    with loaded_content(content_copy) as content:
        (rule,) = [r for r in content.rules if r.metadata.rule_id.endswith("ListRoles")]
        assert rule.dedup_seconds == seconds


def test_the_error_for_an_invalid_correlation_rule_names_the_key(content_copy):
    path = content_copy / CORRELATION
    wrong = re.sub(r"LookbackWindowMinutes: \d+", "LookbackWindowMinutes: 9", path.read_text())
    path.write_text(wrong)
    assert "LookbackWindowMinutes: 9 is not between" in problems(content_copy)


def test_a_folder_without_content_is_an_error(tmp_path):
    assert "holds no Panther content" in problems(tmp_path)
    assert "is not a folder" in problems(tmp_path / "missing")


@pytest.mark.parametrize(("cron", "fields"), [("30 9 * * *", 5), ("0 30 9 * * *", 6)])
def test_a_cron_expression_must_have_five_fields(cron, fields):
    entry = {"CronExpression": cron, "TimeoutMinutes": 1}
    if fields == 5:
        assert parse_schedule(entry, "Schedule").cron == cron
    else:
        with pytest.raises(FieldError, match="must have five fields"):
            parse_schedule(entry, "Schedule")
