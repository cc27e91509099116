"""The rule that alerts on its own, run by panther_core on moto's DynamoDB."""

import itertools
import json
from random import Random

import aws_role_attempt_helpers as helpers
import aws_role_escalation_config as config
import distinct_window_helpers as windows
import pytest
from panther_detection_helpers import caching

from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.events import ALICE, START, call, denied, denied_update, event, role_arn
from tests.builders.rules import (
    FAILED_ATTEMPTS,
    LIST_ROLES,
    ROLE_SEARCH,
    from_body,
    in_place,
    matches,
)

T, LARGE = config.THRESHOLD, config.THRESHOLD * config.WITHOUT_DISCOVERY
LOOKBACK = config.LOOKBACK_MINUTES * 60
DEPLOY = identity(PrincipalKind.ROLE, "DeployRole", "run-1")
DANA = identity(PrincipalKind.SSO, "dana@example.com", "")
PEOPLE = [identity(kind, "eve", "") for kind in PrincipalKind if kind != PrincipalKind.ROLE]
LEAKED = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
QUARANTINED = f" with an explicit deny in an identity-based policy: {LEAKED}"


@pytest.fixture
def load(store):
    return in_place


@pytest.fixture
def rule(load):
    return load(ROLE_SEARCH)


@pytest.fixture
def lists(load):
    """Return a function that lists the account's roles as a caller."""
    return lambda who=ALICE, time=START - 60: matches(
        load(LIST_ROLES), event(call("ListRoles", who, time))
    )


@pytest.fixture
def calls(monkeypatch):
    """Return a list to which each call of the key-value store adds its kind."""
    made = []

    def counted(kind, original):
        return lambda *a, **k: made.append(kind) or original(*a, **k)

    write = counted("write", windows.add_to_string_set)
    monkeypatch.setattr(windows, "add_to_string_set", write)
    clean = counted("clean-up", windows.remove_from_string_set)
    monkeypatch.setattr(windows, "remove_from_string_set", clean)
    monkeypatch.setattr(helpers, "get_string_set", counted("read", helpers.get_string_set))
    return made


def search(count, who=ALICE, step=2, **fields):
    """Return denied calls on `count` roles of one account."""
    return [
        denied(role_arn(f"Role{i}"), who, START + i * step, eventID=f"s{i}", **fields)
        for i in range(count)
    ]


def fan_out(count, who=ALICE):
    """Return denied calls on one role name in `count` accounts."""
    targets = (role_arn("Audit", f"1111222{i:05}") for i in range(count))
    return [denied(arn, who, START + i * 2, eventID=f"f{i}") for i, arn in enumerate(targets)]


def run(rule, record):
    result = rule.run(event(record), {}, {}, batch_mode=True)
    assert not result.detection_evaluation_failed, result.error_message
    return result


def severities(rule, records):
    """Return the severity of each attempt that alerts, None for the others."""
    results = [run(rule, record) for record in records]
    return [result.severity_output if result.trigger_alert else None for result in results]


class TestSeverity:
    @pytest.mark.parametrize("who", [ALICE, DEPLOY, *PEOPLE])
    def test_a_search_after_discovery_is_high_from_the_threshold_on(self, rule, lists, who):
        assert lists(who)
        assert severities(rule, search(T + 2, who)) == [None] * (T - 1) + ["HIGH"] * 3

    @pytest.mark.parametrize("who", [ALICE, *PEOPLE])
    def test_a_persons_fan_out_after_discovery_is_medium(self, rule, lists, who):
        assert lists(who)
        assert severities(rule, fan_out(T + 1, who)) == [None] * (T - 1) + ["MEDIUM"] * 2

    def test_a_roles_fan_out_does_not_alert(self, rule, lists):
        assert lists(DEPLOY)
        assert not any(severities(rule, fan_out(LARGE, DEPLOY)))

    @pytest.mark.parametrize("who, severity", [(ALICE, "HIGH"), (DANA, "HIGH"), (DEPLOY, "MEDIUM")])
    def test_three_times_the_roles_alert_without_discovery(self, rule, who, severity):
        expected = [None] * (LARGE - 1) + [severity] * 2
        assert severities(rule, search(LARGE + 1, who)) == expected

    def test_a_fan_out_without_discovery_does_not_alert(self, rule):
        assert not any(severities(rule, fan_out(LARGE)))

    @pytest.mark.parametrize("records", [search(T, tail=QUARANTINED), fan_out(T)])
    def test_a_quarantined_key_is_critical_without_discovery(self, rule, records):
        records[-1] = denied(role_arn("Last"), time=START + 60, eventID="last", tail=QUARANTINED)
        assert severities(rule, records)[-1] == "CRITICAL"

    @pytest.mark.parametrize("before, severity", [(LOOKBACK, "HIGH"), (LOOKBACK + 1, None)])
    def test_discovery_counts_within_the_lookback_of_the_correlation_rules(
        self, rule, lists, before, severity
    ):
        records = search(T)
        lists(time=START + 2 * (T - 1) - before)
        assert severities(rule, records)[-1] == severity

    def test_a_search_that_was_left_to_the_correlation_rules_stays_there(self, rule, lists):
        records = search(T + 5)
        assert not any(severities(rule, records[:T]))
        lists(time=START + 2 * T)
        assert not any(severities(rule, records[T:]))

    def test_the_severity_rises_when_the_key_is_quarantined(self, rule, lists):
        lists()
        records = [*search(T), denied(role_arn("Last"), time=START + 99, tail=QUARANTINED)]
        assert severities(rule, records)[-2:] == ["HIGH", "CRITICAL"]

    def test_trust_policy_changes_and_openid_connect_count_as_well(self, rule, lists):
        lists()
        changes = [denied_update(f"Role{i}", time=START + i, eventID=f"u{i}") for i in range(T)]
        assert severities(rule, changes)[-1] == "HIGH"
        provider = "arn:aws:iam::123456789012:oidc-provider/ci.example.com"
        caller = {"type": "WebIdentityUser", "userName": "repo:x", "identityProvider": provider}
        by_oidc = {"eventName": "AssumeRoleWithWebIdentity", "errorCode": "AccessDenied"}
        asked = [
            call("", caller, START + i, **by_oidc, eventSource="sts.amazonaws.com", eventID=f"w{i}")
            | {"requestParameters": {"roleArn": role_arn(f"Role{i}")}}
            for i in range(LARGE)
        ]
        assert severities(rule, asked)[-1] == "MEDIUM"

    def test_an_event_that_was_not_judged_has_the_rules_own_severity(self, rule):
        assert rule.module.severity(event(denied(role_arn("X")))) == "DEFAULT"


def test_it_answers_the_same_from_its_body_alone(load, lists, tmp_path):
    lists()
    records = [*search(T), call("AssumeRole"), call("ListRoles"), {}]
    expected = [None] * (T - 1) + ["HIGH"] + [None] * 3
    assert severities(from_body(ROLE_SEARCH, tmp_path), records) == expected


class TestAlert:
    def test_one_burst_is_one_alert_however_long_it_continues(self, rule, lists):
        lists()
        records = search(2 * T)
        repeats = [record | {"eventID": f"again-{i}"} for i, record in enumerate(records)]
        found = [run(rule, record) for record in [*records, *repeats]]
        alerting = [result for result in found if result.trigger_alert]
        assert len(alerting) == 3 * T + 1
        assert {result.dedup_output for result in alerting} == {f"{ALICE['arn']} HIGH"}
        assert len({result.title_output for result in alerting}) == 1

    def test_another_severity_or_principal_is_another_alert(self, rule, lists):
        lists()
        lists(DANA)
        severities(rule, [*search(T), *search(T - 1, DANA)])
        quarantined = denied(role_arn("Last"), time=START + 99, tail=QUARANTINED)
        of_another = search(T, DANA)[-1]
        assert [run(rule, record).dedup_output for record in (quarantined, of_another)] == [
            f"{ALICE['arn']} CRITICAL",
            "identity-center:dana@example.com HIGH",
        ]

    @pytest.mark.parametrize(
        "is_listed, tail, title",
        [
            (True, "", "[{}] failed on at least {} IAM roles by AssumeRole after listing roles"),
            (False, QUARANTINED, "LEAKED KEY: [{}] failed on at least {} IAM roles by AssumeRole"),
        ],
    )
    def test_the_title_says_who_did_what(self, rule, lists, is_listed, tail, title):
        if is_listed:
            lists()
        records = search(T, tail=tail)
        severities(rule, records[:-1])
        assert run(rule, records[-1]).title_output == title.format(ALICE["arn"], T)

    def test_the_context_describes_the_burst_and_cannot_be_paired(self, rule, lists):
        lists()
        records = search(T, tail=QUARANTINED)
        severities(rule, records[:-1])
        context = json.loads(run(rule, records[-1]).alert_context_output)
        assert context["principal"] == ALICE["arn"] and context["api"] == "AssumeRole"
        assert context["distinctTargets"] == T
        assert context["targets"] == [role_arn(f"Role{i}") for i in range(T)]
        assert context["pattern"] == "many roles in one account"
        assert context["discoveryTimes"] == ["2026-01-05T09:59:00Z"]
        assert context["secondsFromDiscoveryToFirstAttempt"] == 60
        assert context["denyingPolicy"] == LEAKED
        assert context.keys().isdisjoint({"searchPrincipal", "fanOutPrincipal"})

    @pytest.mark.parametrize("first", [ROLE_SEARCH, FAILED_ATTEMPTS])
    def test_the_alert_and_the_signal_agree_whichever_rule_runs_first(self, load, lists, first):
        lists()
        names = [first, *{ROLE_SEARCH, FAILED_ATTEMPTS} - {first}]
        rules = {name: load(name) for name in names}
        for record in search(T + 3):
            results = {name: run(rule, record) for name, rule in rules.items()}
            assert len({result.trigger_alert for result in results.values()}) == 1
        context = json.loads(results[FAILED_ATTEMPTS].alert_context_output)
        assert "searchPrincipal" not in context

    @pytest.mark.parametrize("seed", range(3))
    def test_a_search_alerts_in_any_order_of_arrival(self, rule, lists, seed):
        lists()
        records = search(T + 3) + fan_out(2 * T)
        Random(seed).shuffle(records)
        found = {severity for severity in severities(rule, records) if severity}
        assert "HIGH" in found

    def test_functions_answer_without_the_store(self, rule):
        record = search(T)[-1]
        severities(rule, search(T))
        caching.kv_table().delete()
        helpers._latest.clear()
        module, attempt = rule.module, event(record)
        assert module.title(attempt).startswith(f"[{ALICE['arn']}] failed on at least")
        assert module.severity(attempt) == "DEFAULT"
        assert module.dedup(attempt) == f"{ALICE['arn']} DEFAULT"
        assert module.alert_context(attempt)["distinctTargets"] == T

    def test_a_store_that_fails_is_a_visible_error(self, rule):
        caching.kv_table().delete()
        result = rule.run(event(search(1)[0]), {}, {}, batch_mode=True)
        assert result.detection_exception is not None and not result.trigger_alert
        assert not matches(rule, event(call("AssumeRole")))


class TestStoreCalls:
    """The cost of an attempt that docs/multiple-failed-role-attempts.md states."""

    def both(self, load, records):
        for record, name in itertools.product(records, (FAILED_ATTEMPTS, ROLE_SEARCH)):
            run(load(name), record)

    def test_an_attempt_that_both_rules_see_is_two_writes(self, load, calls):
        self.both(load, search(T - 1))
        assert calls == ["write"] * 2 * (T - 1)

    def test_the_attempt_that_completes_a_burst_is_one_more_read_and_write(self, load, calls):
        records = search(T)
        self.both(load, records[:-1])
        calls.clear()
        self.both(load, records[-1:])
        assert sorted(calls) == ["read", "write", "write", "write"]

    def test_other_records_are_no_store_calls(self, load, calls):
        self.both(load, [call("AssumeRole"), call("DescribeInstances"), {}])
        self.both(load, [denied(role_arn("X"), errorCode="ThrottlingException")])
        assert calls == []


def test_expected_principals_raise_no_alert_and_store_nothing(rule, monkeypatch):
    monkeypatch.setattr(config, "EXPECTED_PRINCIPALS", [ALICE["arn"]])
    assert not any(severities(rule, search(LARGE)))
    assert caching.kv_table().scan()["Items"] == []
