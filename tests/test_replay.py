"""Replays of generated attacks and of recorded CloudTrail, end to end."""

import gzip
import json
from functools import partial
from random import Random

import pytest
import yaml
from aws_role_escalation_config import LOOKBACK_MINUTES, THRESHOLD, WINDOW_MINUTES

from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.simulate.identities import PrincipalKind
from local_panther.simulate.scenario import Api
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.builders.replays import (
    BLOCKLIST,
    CORRELATION,
    FAILED_ATTEMPTS,
    ROLE_SEARCH,
    blocklist_is_enabled,
    replayed,
    search_alerts,
    simulated,
)

ADMIN = role_arn("FullAdminRole")
WINDOW = WINDOW_MINUTES * 60
MALLORY = "arn:aws:iam::123456789012:user/mallory"


class TestAttack:
    """Generated attacks, some of which must alert."""

    @pytest.fixture(autouse=True)
    def content(self, content_without_exemptions):
        self.folder = content_without_exemptions

    def alerts(self, tmp_path, **scenario):
        trail = simulated(tmp_path / "trail", **{"roles": THRESHOLD + 2, **scenario})
        outcome = replayed(trail, content=self.folder)
        assert outcome.complete
        return search_alerts(outcome)

    def test_an_attack_on_enough_roles_after_discovery_alerts(self, tmp_path):
        (alert,) = self.alerts(tmp_path)
        assert (alert.metadata.rule_id, alert.severity) == (ROLE_SEARCH, "HIGH")
        assert alert.context["principal"] == MALLORY
        assert alert.context["distinctTargets"] == THRESHOLD
        assert alert.context["discoveryTimes"] == ["2026-01-05T10:00:00Z"]
        assert alert.context["discoveryCameFirst"] is True

    def test_an_attack_before_discovery_alerts_by_the_correlation_rule(self, tmp_path):
        (alert,) = self.alerts(tmp_path, discovery_last=True)
        assert (alert.metadata.rule_id, alert.severity) == (CORRELATION, "HIGH")
        assert alert.match_value == MALLORY
        burst = alert.context["FailedAttempts"]
        assert burst["distinctTargets"] == THRESHOLD + 2
        assert burst["discoveryCameFirst"] is False

    def test_an_attack_by_changing_trust_policies_alerts(self, tmp_path):
        (alert,) = self.alerts(tmp_path, api=Api.UPDATE_TRUST_POLICY)
        assert alert.context["api"] == "UpdateAssumeRolePolicy"

    @pytest.mark.parametrize("kind", list(PrincipalKind))
    def test_an_attack_by_a_principal_of_any_kind_alerts(self, tmp_path, kind):
        assert len(self.alerts(tmp_path, principal=kind)) == 1

    def test_attempts_on_one_role_too_few_do_not_alert_despite_retries(self, tmp_path):
        assert not self.alerts(tmp_path, roles=THRESHOLD - 1, retries=300)

    def test_attempts_spread_over_three_windows_do_not_alert(self, tmp_path):
        assert not self.alerts(tmp_path, minutes=3 * WINDOW_MINUTES)

    def test_attempts_of_many_users_do_not_alert(self, tmp_path):
        assert not self.alerts(tmp_path, principals=THRESHOLD + 2)

    def test_an_attack_without_discovery_does_not_alert(self, tmp_path):
        assert not self.alerts(tmp_path, discovery=False, ordinary=0)

    def test_an_attack_by_rotating_sessions_of_one_role_alerts(self, tmp_path):
        (alert,) = self.alerts(tmp_path, principal=PrincipalKind.ROLE, rotate_sessions=True)
        assert alert.context["principal"] == role_arn("BuildRunnerRole")
        assert len(alert.context["sessionNames"]) == THRESHOLD

    def test_attempts_of_many_people_with_one_identity_center_role_do_not_alert(self, tmp_path):
        assert not self.alerts(tmp_path, principal=PrincipalKind.SSO, principals=THRESHOLD + 2)

    def test_assuming_a_blocklisted_role_alerts_if_the_rule_is_enabled(self, tmp_path):
        trail = simulated(tmp_path / "trail", roles=1, blocklisted=ADMIN)
        assert len(replayed(trail).alerts) == blocklist_is_enabled()
        (alert,) = replayed(trail, include_disabled=True).alerts
        assert alert.metadata.rule_id == BLOCKLIST
        assert (
            alert.title == "[trent] assumed the blocklisted role [FullAdminRole] in [123456789012]"
        )


class TestDelivery:
    """The same attack gives the same alert, however its records are delivered."""

    @pytest.fixture(params=[False, True], ids=["discovery first", "discovery last"])
    def simulated(self, request):
        return partial(simulated, discovery_last=request.param)

    def facts(self, *paths):
        (alert,) = search_alerts(replayed(*paths))
        burst = alert.context.get("FailedAttempts", alert.context)
        who = alert.metadata.rule_id, burst["principal"]
        return who, alert.created_at, burst["distinctTargets"], burst["targets"]

    @pytest.fixture
    def expected(self, tmp_path, simulated):
        return self.facts(simulated(tmp_path / "plain.jsonl"))

    @pytest.mark.long
    @pytest.mark.parametrize("name", ["t.json", "t.jsonl.gz", "t.json.gz", "folder"])
    def test_the_alert_does_not_depend_on_the_form_of_files(
        self, tmp_path, simulated, expected, name
    ):
        assert self.facts(simulated(tmp_path / name)) == expected

    @pytest.mark.long
    @pytest.mark.parametrize("seed", range(3))
    def test_the_alert_does_not_depend_on_order_and_duplicates(
        self, tmp_path, simulated, expected, seed
    ):
        trail = simulated(tmp_path / "t", seed=seed, shuffle=True, duplicates=0.5)
        assert self.facts(trail) == expected

    def test_the_alert_is_the_same_if_files_are_read_twice(self, tmp_path, simulated, expected):
        trail = simulated(tmp_path / "t", shuffle=True)
        copy = simulated(tmp_path / "copy.jsonl.gz", shuffle=True)
        assert self.facts(trail, trail, copy) == expected

    def test_the_alert_is_the_same_with_one_record_a_file(self, tmp_path, simulated, expected):
        records = (simulated(tmp_path / "t.jsonl").read_text()).splitlines()
        folder = tmp_path / "many"
        folder.mkdir()
        Random(1).shuffle(records)
        for i, record in enumerate(records):
            (folder / f"{i}.json.gz").write_bytes(gzip.compress(record.encode()))
        assert self.facts(folder) == expected


def test_recorded_cloudtrail_raises_no_alert_and_no_error(recorded_file):
    outcome = replayed(recorded_file, include_disabled=True)
    lines = [line for line in recorded_file.read_text().splitlines() if line.strip()]
    assert outcome.tally.records == len(lines)
    assert outcome.alerts == []
    assert outcome.complete, (outcome.tally.problems, outcome.errors.examples)


def test_editing_only_the_yaml_changes_what_alerts(tmp_path, content_copy):
    trail = simulated(tmp_path / "trail", blocklisted=role_arn("Other"), discovery=False)
    assert not replayed(trail, content=content_copy, include_disabled=True).alerts
    rules = content_copy / "rules" / "aws_cloudtrail_rules"
    path = rules / "aws_iam_assume_role_blocklist_ignored.yml"
    spec = yaml.safe_load(path.read_text())
    spec["InlineFilters"][1] = {
        "KeyPath": "requestParameters.roleArn",
        "Condition": "EndsWith",
        "Value": "/Other",
    }
    path.write_text(yaml.safe_dump(spec))
    (alert,) = replayed(trail, content=content_copy, include_disabled=True).alerts
    assert alert.metadata.rule_id == BLOCKLIST


def test_a_rule_that_raises_is_reported_and_affects_no_other(tmp_path, content_copy):
    path = content_copy / "rules" / "aws_cloudtrail_rules" / "aws_iam_list_roles.py"
    path.write_text("def rule(event):\n    return 1 / 0\n")
    outcome = replayed(simulated(tmp_path / "trail"), content=content_copy)
    assert not outcome.complete
    assert outcome.errors.counts["AWS.CloudTrail.IAMListRoles"] >= 3
    assert "division by zero" in outcome.errors.examples[0].message
    assert outcome.signals[FAILED_ATTEMPTS] == 13 - THRESHOLD


def test_discovery_long_before_the_attack_is_not_paired(tmp_path):
    later = LOOKBACK_MINUTES * 60
    burst = [
        denied(role_arn(f"r{i}"), time=START + later + i, eventID=f"{i}") for i in range(THRESHOLD)
    ]
    for offset, expected in ((later - WINDOW, 1), (0, 0)):
        listing = call("ListRoles", time=START + offset, eventID="listing")
        trail = tmp_path / f"{offset}.jsonl"
        write_lines(trail, [listing, *burst])
        assert len(search_alerts(replayed(trail))) == expected


def test_a_record_delivered_twice_counts_once_unless_repeats_are_kept(tmp_path):
    trail = tmp_path / "trail.jsonl"
    trail.write_text(f"{json.dumps(call('ListRoles', eventID='one'))}\n" * 2)
    rule = "AWS.CloudTrail.IAMListRoles"
    assert replayed(trail).signals[rule] == 1
    kept = replay(Trail([str(trail)]), REPO, keep_repeated=True)
    assert kept.signals[rule] == 2 and kept.tally.duplicates == 1
