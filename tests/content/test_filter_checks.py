"""Tests of finding InlineFilters that load but cannot do what was intended."""

import pytest

from local_panther.content.filter_checks import check_filters
from tests.builders.events import REPO


def messages(tmp_path, filters, path="rule.yml"):
    lines = ["AnalysisType: rule", "InlineFilters:", *filters.splitlines()]
    (tmp_path / path).write_text("\n".join(lines) + "\n")
    return [str(problem) for problem in check_filters(tmp_path)]


def condition(condition, *values, path="requestParameters.roleArn"):
    values = "".join(f"\n      - {value}" for value in values)
    return f"  - KeyPath: {path}\n    Condition: {condition}\n    Values:{values}"


def one(condition, value, path="requestParameters.roleArn"):
    return f"  - KeyPath: {path}\n    Condition: {condition}\n    Value: {value}"


ARN = "arn:aws:iam::123456789012:role/Admin"


@pytest.mark.parametrize(
    "filters",
    [
        condition("IsIn", ARN),
        condition("IsNotIn", ARN, "arn:aws:iam::111122223333:role/x/y"),
        condition("IsIn", "'*'", path="requestParameters.principal"),
        condition("IsIn", "Admin", path="requestParameters.roleName"),
        "  - KeyPath: requestParameters.roleArn\n    Condition: EndsWith\n    Value: role/x",
        "  - KeyPath: userAgent\n    Condition: Contains\n    Value: a*b",
        one("StartsWith", "'arn:aws:iam::123456789012:'"),
        one("Contains", "'123456789012'"),
        one("IEquals", "ARN:AWS:IAM::123456789012:ROLE/Admin"),
        one("IContains", "ROLE/BREAK-GLASS"),
        one("IsNullOrEmpty", "x"),
        one("Equals", "arn:aws:sts::1:assumed-role/a/b", path="responseElements.assumedRoleArn"),
        one("Equals", "7", path="requestParameters.roleArnCount"),
        condition("IsIn", "'012345670123'", path="recipientAccountId"),
        "  - All: []",
        f"  - Any:\n{condition('IsIn', ARN).replace(chr(10), chr(10) + '  ')}".replace(
            "Any:\n  - ", "Any:\n    - "
        ),
    ],
)
def test_filters_that_can_match_are_not_reported(tmp_path, filters):
    assert messages(tmp_path, filters) == []


@pytest.mark.parametrize(
    "filters, line, message",
    [
        (
            condition("IsIn", ARN, "arn:aws:iam::*:role/Admin"),
            7,
            "IsIn compares whole values, without wildcards, so 'arn:aws:iam::*:role/Admin' "
            "matches only that exact text; "
            "write Condition: StartsWith with Value: arn:aws:iam:: and "
            "Condition: EndsWith with Value: :role/Admin",
        ),
        (
            condition("IsIn", '"*:role/Admin"'),
            6,
            "write Condition: EndsWith with Value: :role/Admin",
        ),
        (
            condition("IsIn", f"{ARN}*"),
            6,
            f"write Condition: StartsWith with Value: {ARN}",
        ),
        (
            condition("IsIn", '"*break-glass*"'),
            6,
            "write Condition: Contains with Value: break-glass",
        ),
        (
            condition("IsNotIn", '"*scanner"', path="userIdentity.arn"),
            6,
            "write Condition: DoesNotEndWith with Value: scanner",
        ),
        (
            condition("IsIn", '"Admin?"', path="requestParameters.roleName"),
            6,
            "write Condition: StartsWith with Value: Admin",
        ),
        (
            condition("IsIn", "FullAdmin"),
            6,
            "requestParameters.roleArn is an ARN, so IsIn never matches 'FullAdmin'; "
            "write the ARN, or Condition: EndsWith with Value: /FullAdmin",
        ),
        (
            condition("IsIn", "role/FullAdmin"),
            6,
            "write the ARN, or Condition: EndsWith with Value: :role/FullAdmin",
        ),
        (
            condition("IsNotIn", "'Full Admin'"),
            6,
            "requestParameters.roleArn is an ARN, so IsNotIn excludes nothing with 'Full Admin'; "
            "write the ARN",
        ),
        (
            condition("IsIn", "'123456789012'"),
            6,
            "write the ARN, or Condition: Contains with Value: '::123456789012:'",
        ),
        (
            condition("IsIn", ARN, "arn:aws:sts::123456789012:assumed-role/Admin/alice"),
            7,
            "requestParameters.roleArn is a role's ARN, so IsIn never matches "
            "'arn:aws:sts::123456789012:assumed-role/Admin/alice': it is the ARN of a role's "
            f"session; write that of the role, {ARN}, with any path",
        ),
        (
            condition("IsIn", "arn:aws:iam::12345678901:role/Admin"),
            6,
            "account IDs have 12 digits, but '12345678901' has 11",
        ),
        (condition("IsIn", f"{ARN}:"), 6, "it is a list or mapping, not text"),
        (condition("IsIn", ARN, ""), 7, "it is empty; add a value"),
        (condition("IsIn", "ARN:aws:iam::123456789012:role/Admin"), 6, "is an ARN, so IsIn never"),
        (
            one("Contains", "123456789012"),
            5,
            "requestParameters.roleArn is text, so Contains never matches '123456789012': "
            "it is not text; put it in quotes: '123456789012'",
        ),
        (
            condition("IsIn", "'111122223333'", "012345670123", path="recipientAccountId"),
            7,
            "recipientAccountId is text, so IsIn never matches '012345670123': "
            "it is not text; put it in quotes: '012345670123'",
        ),
        (
            one("DoesNotEqual", "123456789012", path="userIdentity.accountId"),
            5,
            "DoesNotEqual excludes nothing with '123456789012'",
        ),
        (
            one("StartsWith", "'arn:aws:ima::'"),
            5,
            "StartsWith never matches 'arn:aws:ima::': "
            "the service in a role's ARN is iam, not 'ima'",
        ),
        (
            one("DoesNotEndWith", "':user/alice'", path="requestParameters.executionRoleArn"),
            5,
            "requestParameters.executionRoleArn is a role's ARN, so DoesNotEndWith excludes "
            "nothing with ':user/alice': no role's ARN ends with it",
        ),
        (
            one("IDoesNotContain", "':USER/'"),
            5,
            "IDoesNotContain excludes nothing with ':USER/': no role's ARN contains it",
        ),
        (
            one("Contains", "role/cdk-*-deploy"),
            5,
            "Contains compares text, without wildcards, so 'role/cdk-*-deploy' "
            "matches only that exact text; "
            "write Condition: Contains with Value: role/cdk- and "
            "Condition: Contains with Value: -deploy",
        ),
        (
            one("IEquals", "'*:role/Admin'"),
            5,
            "write Condition: IEndsWith with Value: :role/Admin",
        ),
        (
            condition("IsIn", ARN) + f"\n    Values:\n      - {ARN}2",
            7,
            "Values appears twice, and the first one, on line 5, is ignored; merge the two",
        ),
        (
            f"  - KeyPath: requestParameters.roleArn\n    Condition: IsIn\n    Values: {ARN}",
            5,
            f"IsIn needs a list under Values; write Values: ['{ARN}']",
        ),
        (
            f"  - KeyPath: requestParameters.roleArn\n    Condition: IsNotIn\n    Value: {ARN}",
            5,
            "IsNotIn needs a list under Values",
        ),
        (
            "  - KeyPath: eventName\n    Condition: IsIn",
            3,
            "IsIn needs a list under Values; add one",
        ),
        ("  - All: []\nInlineFilters: []", 4, "InlineFilters appears twice"),
    ],
)
def test_filters_that_cannot_match_are_reported_with_what_to_write(
    tmp_path, filters, line, message
):
    found = messages(tmp_path, filters)
    assert found[0].startswith(f"rule.yml:{line}: ") and message in found[0]


def test_filters_inside_any_and_all_are_checked(tmp_path):
    inner = condition("IsIn", "FullAdmin").replace("\n", "\n        ").replace("  - ", "- ", 1)
    nested = f"  - Any:\n      - All:\n          {inner}"
    assert "FullAdmin" in messages(tmp_path, nested)[0]


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "InlineFilters: 7", "InlineFilters: [x, 1]"])
def test_files_without_filters_are_ignored(tmp_path, text):
    (tmp_path / "other.yml").write_text(text)
    assert check_filters(tmp_path) == []


def test_this_repository_has_no_such_filters():
    assert check_filters(REPO) == []
