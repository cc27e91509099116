"""The two signal rules on moto's DynamoDB, loaded in place and from their bodies alone."""

import json

import aws_role_attempt_helpers as helpers
import aws_role_escalation_config as config
import pytest
from aws_role_activity_helpers import DISCOVERIES, iso_time
from panther_detection_helpers import caching

from local_panther.simulate.identities import PrincipalKind, identity, service
from tests.builders.events import (
    ALICE,
    START,
    burst,
    call,
    denied,
    denied_update,
    discovery,
    event,
    role_arn,
    user,
)
from tests.builders.rules import FAILED_ATTEMPTS, LIST_ROLES, from_body, in_place, matches

BY_CONFIG = discovery("ListDiscoveredResources")

T, WINDOW = config.THRESHOLD, config.WINDOW_MINUTES * 60

ALICE_IN_CHINA = ALICE | {"arn": "arn:aws-cn:iam::123456789012:user/alice"}
SESSION = identity(PrincipalKind.ROLE, "DeployRole", "s-4711")
EVE = identity(PrincipalKind.SSO, "eve@example.com", "")
TO_UPDATE = "User: x is not authorized to perform: iam:UpdateAssumeRolePolicy on resource: "
POLICY = "arn:aws:organizations::111122223333:policy/o-example/service_control_policy/p-example"
TRAILER = (
    ". Go to https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html for complete "
    "details, or call the GetRequestAuthorizationDetails API with the following authorization id: 0"
)
DECOY = denied(role_arn("Decoy"))["errorMessage"].removeprefix("User: ")
TOO_LONG = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."


@pytest.fixture(params=["in place", "from body"])
def load(request, tmp_path, store):
    if request.param == "in place":
        return in_place
    return lambda name: from_body(name, tmp_path)


def verdicts(rule, records):
    return [matches(rule, event(record)) for record in records]


def last_context(rule, records):
    for record in records[:-1]:
        matches(rule, event(record))
    result = rule.run(event(records[-1]), {}, {}, batch_mode=True)
    assert result.trigger_alert
    return json.loads(result.alert_context_output)


class TestFailedAttempts:
    def test_attempts_match_from_the_threshold_on(self, load):
        rule = load(FAILED_ATTEMPTS)
        assert verdicts(rule, burst(T + 2)) == [False] * (T - 1) + [True] * 3

    def test_trust_policy_changes_count_by_the_name_in_the_message(self, load):
        rule = load(FAILED_ATTEMPTS)
        assert verdicts(rule, burst(T, make=denied_update)) == [False] * (T - 1) + [True]

    def test_the_two_apis_are_counted_separately(self, load):
        mixed = burst(T - 1) + burst(T - 1, make=denied_update, prefix="Other")
        assert not any(verdicts(load(FAILED_ATTEMPTS), mixed))

    @pytest.mark.parametrize("late, expected", [(0, True), (1, False)])
    def test_attempts_match_within_the_window_to_the_second(self, load, late, expected):
        records = [*burst(T - 1), denied(role_arn("Last"), time=START + WINDOW + late)]
        assert verdicts(load(FAILED_ATTEMPTS), records)[-1] is expected

    def test_the_items_stay_small_however_many_roles_are_tried(self, load):
        verdicts(load(FAILED_ATTEMPTS), burst(150, step=20))
        items = {item["key"]: item["stringSet"] for item in caching.kv_table().scan()["Items"]}
        attempts = f"aws-role-attempts AssumeRole {ALICE['arn']}"
        marks = f"aws-role-discovery {ALICE['arn']}"
        assert items.keys() == {attempts, f"{attempts} 123456789012", marks}
        assert len(items[attempts]) < 80
        assert all(sum(map(len, members)) < 16 * 1024 for members in items.values())

    def test_items_are_stored_under_the_whole_name_of_the_principal(self, load):
        path = "long-path/" * 12
        people = [user(f"{path}{name}") for name in ("eve", "bob")]
        for who in people:
            matches(load(FAILED_ATTEMPTS), event(denied(role_arn("X"), who)))
        keys = {item["key"] for item in caching.kv_table().scan()["Items"]}
        whole = {f"aws-role-attempts AssumeRole {who['arn']}" for who in people}
        assert keys == whole | {f"{key} 123456789012" for key in whole}

    @pytest.mark.parametrize("rule, record", [(FAILED_ATTEMPTS, denied), (LIST_ROLES, None)])
    def test_keys_have_a_length_that_dynamodb_accepts(self, load, rule, record):
        """DynamoDB accepts partition keys of up to 2,048 bytes."""
        who = user("x" * 5000)
        matches(load(rule), event(denied(role_arn("X"), who) if record else call("ListRoles", who)))
        keys = [item["key"] for item in caching.kv_table().scan()["Items"]]
        assert keys and all(len(key) < 1000 for key in keys)

    def test_repeats_of_one_role_count_once(self, load):
        assert not any(verdicts(load(FAILED_ATTEMPTS), burst(T - 1, step=1) * 5))

    def test_one_role_in_parameters_and_message_counts_once(self, load):
        with_parameters = [
            denied("", requestParameters={"roleArn": role_arn(f"Role{i:02}")}) for i in range(T - 1)
        ]
        assert not any(verdicts(load(FAILED_ATTEMPTS), burst(T - 1) + with_parameters))

    def test_the_sessions_of_a_role_are_counted_together(self, load):
        records = []
        for i, record in enumerate(burst(T)):
            who = identity(PrincipalKind.ROLE, "Deploy", f"s{i}")
            records.append(
                denied(role_arn(f"Role{i:02}"), who) | {"eventTime": record["eventTime"]}
            )
        assert verdicts(load(FAILED_ATTEMPTS), records)[-1]

    def test_people_of_one_identity_center_role_are_counted_separately(self, load):
        people = [identity(PrincipalKind.SSO, f"p{i}@example.com", "") for i in range(T + 2)]
        records = [denied(role_arn(f"Role{i:02}"), who) for i, who in enumerate(people)]
        assert not any(verdicts(load(FAILED_ATTEMPTS), records))

    @pytest.mark.parametrize(
        "last",
        [
            denied(role_arn("p/X"), tail=" with an explicit deny in an identity-based policy"),
            denied("arn:aws-cn:iam::123456789012:role/X", ALICE_IN_CHINA, errorCode=None),
            denied(role_arn("X"), SESSION),
            denied(role_arn("X"), EVE),
            call(
                "AssumeRole",
                requestParameters={"roleArn": role_arn("X"), "durationSeconds": 43_200},
                errorCode="ValidationError",
                errorMessage=TOO_LONG,
            ),
            denied_update("X"),
            denied_update("", errorMessage=f"{TO_UPDATE}role X{TRAILER}"),
            denied_update(
                "",
                errorMessage=f"{TO_UPDATE}{role_arn('p/X')} with an explicit deny in a service "
                f"control policy: {POLICY}",
            ),
            call(
                "UpdateAssumeRolePolicy",
                requestParameters={"roleName": "X", "policyDocument": "{}"},
                errorCode="UnmodifiableEntityException",
                errorMessage="Cannot perform the operation on the protected role 'X'",
            ),
        ],
    )
    def test_an_attempt_counts_in_every_form_of_error_and_caller(self, store, last):
        make = denied if last["eventName"] == "AssumeRole" else denied_update
        rule = in_place(FAILED_ATTEMPTS)
        assert not any(verdicts(rule, burst(T - 1, last["userIdentity"], make=make)))
        assert matches(rule, event(last))

    @pytest.mark.parametrize(
        "record",
        [
            denied(role_arn("X"), service("lambda.amazonaws.com")),
            denied(role_arn("X"), {"type": "AWSAccount", "principalId": "AROAEXAMPLEOTHER00001"}),
            denied(role_arn("X"), errorCode="ThrottlingException"),
            denied(role_arn("X"), errorCode="ExpiredTokenException"),
            denied_update("X", errorCode="ServiceUnavailable"),
            denied("", errorMessage="MultiFactorAuthentication failed"),
            denied("", errorCode="ValidationError", errorMessage=f"1 error: '{DECOY}'"),
            call("UpdateAssumeRolePolicy", requestParameters={"roleName": "X"}),
            call("DeleteRole", requestParameters={"roleName": "X"}, errorCode="AccessDenied"),
            denied(
                "",
                errorMessage="User: x is not authorized to perform: sts:AssumeRole because no role "
                "trust policy allows the sts:AssumeRole action",
            ),
            call("AssumeRole", requestParameters={"roleArn": role_arn("X")}),
            call("DescribeInstances"),
            {},
        ],
    )
    def test_a_record_that_does_not_count_is_not_stored(self, load, monkeypatch, record):
        rule = load(FAILED_ATTEMPTS)
        assert not matches(rule, event(record))
        assert caching.kv_table().scan()["Items"] == []
        monkeypatch.setattr(rule.module, "burst_pattern", lambda event: "any")
        assert not matches(rule, event(record))

    def test_an_attempt_without_a_valid_time_is_not_stored(self, load):
        record = denied(role_arn("X"), eventTime="soon")
        assert not matches(load(FAILED_ATTEMPTS), event(record))
        assert caching.kv_table().scan()["Items"] == []

    def test_a_store_that_fails_is_a_visible_error_on_an_attempt_only(self, load):
        rule = load(FAILED_ATTEMPTS)
        caching.kv_table().delete()
        result = rule.run(event(denied(role_arn("X"))), {}, {}, batch_mode=True)
        assert result.detection_exception is not None
        assert not matches(rule, event(call("DescribeInstances")))
        assert not matches(rule, event(call("AssumeRole")))

    def test_the_context_tells_the_story_of_the_burst(self, load):
        lists, rule = load(LIST_ROLES), load(FAILED_ATTEMPTS)
        for offset in (-200, -150):
            assert matches(lists, event(call("ListRoles", time=START + offset)))
        records = burst(T + 2, step=10)
        records[3]["sourceIPAddress"] = "192.0.2.9"
        records[3]["errorCode"] = "NoSuchEntityException"
        context = last_context(rule, records)
        assert context["principal"] == ALICE["arn"]
        assert context["api"] == "AssumeRole"
        assert context["distinctTargets"] == T + 2
        assert context["distinctTargetsIsMinimum"] is False
        assert context["targets"] == [role_arn(f"Role{i:02}") for i in range(T + 2)]
        assert context["targetAccounts"] == ["123456789012"]
        assert context["firstAttempt"] == "2026-01-05T10:00:00Z"
        assert context["lastAttempt"] == iso_time(START + (T + 1) * 10)
        assert context["errorCodes"] == ["AccessDenied", "NoSuchEntity"]
        assert context["sourceIPAddresses"] == ["192.0.2.9", "203.0.113.10"]
        assert context["discoveryTimes"] == ["2026-01-05T09:56:40Z"]  # the repeat is left out
        assert context["sessionNames"] == []
        assert context["discoveryCameFirst"] is True
        assert context["secondsFromDiscoveryToFirstAttempt"] == 200

    def test_the_context_counts_three_thresholds_of_targets(self, load):
        context = last_context(load(FAILED_ATTEMPTS), burst(3 * T, step=10))
        assert context["distinctTargets"] == 3 * T

    def test_the_context_says_if_the_number_of_targets_is_a_minimum(self, load):
        context = last_context(load(FAILED_ATTEMPTS), burst(150, step=1))
        assert context["distinctTargetsIsMinimum"] is True
        assert T < context["distinctTargets"] < 150

    def test_the_context_names_the_roles_that_the_caller_may_assume(self, load):
        """With a shorter session the role lets the caller in: attack tools try again."""
        error = {"errorCode": "ValidationError", "errorMessage": TOO_LONG}
        records = burst(T)
        parameters = {"roleArn": role_arn("teams/Open"), "durationSeconds": 43_200}
        records[0] = call("AssumeRole", requestParameters=parameters, **error)
        context = last_context(load(FAILED_ATTEMPTS), records)
        assert context["mayAssume"] == [role_arn("teams/Open")]
        assert context["distinctTargets"] == T

    @pytest.mark.parametrize(
        "target, shown",
        [
            (role_arn("teams/data/Admin"), role_arn("teams/data/Admin")),
            (role_arn(f"{'long/' * 6}Admin"), role_arn(".../Admin")),
            ("arn:aws-cn:iam::123456789012:role/A", "arn:aws-cn:iam::123456789012:role/A"),
            ("arn:aws-cn:iam::123456789012:role/p/A", "arn:aws-cn:iam::123456789012:role/p/A"),
        ],
    )
    def test_the_context_shows_targets_as_arns_with_their_paths(self, load, target, shown):
        records = [denied(target), *burst(T - 1)]
        assert shown in last_context(load(FAILED_ATTEMPTS), records)["targets"]

    def test_a_role_counts_once_whatever_path_the_caller_gives(self, load):
        paths = [denied(role_arn(f"path-{i}/Admin"), time=START + i) for i in range(2 * T)]
        assert not any(verdicts(load(FAILED_ATTEMPTS), paths))

    def test_the_context_says_which_correlation_rule_it_is_for(self, load):
        search = last_context(load(FAILED_ATTEMPTS), burst(T))
        assert search["searchPrincipal"] == ALICE["arn"] and "fanOutPrincipal" not in search
        bob = user("bob")
        records = [
            denied(role_arn("Audit", f"1111222233{i:02}"), bob, START + i) for i in range(2 * T)
        ]
        fan_out = last_context(load(FAILED_ATTEMPTS), records)
        assert fan_out["fanOutPrincipal"] == bob["arn"] and "searchPrincipal" not in fan_out

    def test_the_context_says_if_discovery_came_only_afterwards(self, load):
        lists, rule = load(LIST_ROLES), load(FAILED_ATTEMPTS)
        matches(lists, event(call("ListRoles", time=START + 60)))
        context = last_context(rule, burst(T))
        assert context["discoveryTimes"] == ["2026-01-05T10:01:00Z"]
        assert context["discoveryCameFirst"] is False
        assert context["secondsFromDiscoveryToFirstAttempt"] is None

    def test_the_context_names_every_discovery_and_the_last_one_before(self, load):
        lists, rule = load(LIST_ROLES), load(FAILED_ATTEMPTS)
        lookback = config.LOOKBACK_MINUTES * 60
        for offset in (-lookback, -lookback - 1, -900, 0):
            matches(lists, event(call("ListRoles", time=START + offset)))
        context = last_context(rule, burst(T))
        assert context["discoveryTimes"] == [
            iso_time(START - lookback),  # the full lookback of the correlation rules
            "2026-01-05T09:45:00Z",
            "2026-01-05T10:00:00Z",
        ]
        assert context["discoveryCameFirst"] is True
        assert context["secondsFromDiscoveryToFirstAttempt"] == 0

    def test_the_context_of_a_window_has_no_earlier_attempt(self, load):
        early = denied(role_arn("Early"), time=START - 1)
        late = denied(role_arn("Late"), time=START + WINDOW)
        context = last_context(load(FAILED_ATTEMPTS), [early, *burst(T - 1), late])
        assert context["firstAttempt"] == "2026-01-05T10:00:00Z"
        assert context["distinctTargets"] == T

    def test_the_context_names_targets_of_trust_policy_changes_by_account(self, load):
        context = last_context(load(FAILED_ATTEMPTS), burst(T, make=denied_update))
        assert context["targets"][0] == "123456789012:role/Role00"
        assert context["targetAccounts"] == ["123456789012"]

    def test_the_context_leaves_out_discovery_of_another_day(self, load):
        lists, rule = load(LIST_ROLES), load(FAILED_ATTEMPTS)
        matches(lists, event(call("ListRoles", time=START - 86_400)))
        assert last_context(rule, burst(T))["discoveryTimes"] == []

    @pytest.mark.parametrize(
        "address, shown",
        [
            (
                "2001:0db8:0000:0000:0000:ffff:192.0.2.128",
                "2001:0db8:0000:0000:0000:ffff:192.0.2.1",
            ),
            (None, None),
        ],
    )
    def test_the_context_has_addresses_of_up_to_39_characters(self, load, address, shown):
        records = [record | {"sourceIPAddress": address} for record in burst(T)]
        context = last_context(load(FAILED_ATTEMPTS), records)
        assert context["sourceIPAddresses"] == ([shown] if shown else [])

    def test_the_context_names_sessions_and_targets_in_full(self, load):
        name = "n" * 64
        records = []
        for i in range(T):
            who = identity(PrincipalKind.ROLE, "Deploy", f"session-{i}")
            records.append(denied(role_arn(f"{name[:62]}{i:02}"), who, START + i))
        context = last_context(load(FAILED_ATTEMPTS), records)
        assert context["sessionNames"] == sorted(f"session-{i}" for i in range(T))
        assert context["targets"][T - 1] == role_arn(f"{name[:62]}{T - 1:02}")

    def test_the_context_is_complete_without_the_store(self, load):
        rule = load(FAILED_ATTEMPTS)
        for record in burst(T):
            matches(rule, event(record))
        caching.kv_table().delete()
        context = rule.module.alert_context(event(burst(T)[-1]))
        assert context["distinctTargets"] == T
        assert context["discoveryTimes"] == []


@pytest.mark.parametrize("name", [FAILED_ATTEMPTS, LIST_ROLES])
def test_a_field_of_any_size_leaves_the_other_names_in_the_context(load, name):
    huge = call({"x": ["y" * 1000] * 40}, user("z" * 3000))
    context = load(name).module.alert_context(event(huge))
    assert context["principal"].startswith("arn:aws:iam::123456789012:user/zzz")
    assert len(json.dumps(context)) < 50_000


class TestPattern:
    def pattern(self, rule, records):
        return last_context(rule, records)["pattern"]

    def test_a_burst_is_a_search_if_one_account_has_the_threshold(self, load):
        assert self.pattern(load(FAILED_ATTEMPTS), burst(T)) == "many roles in one account"

    @pytest.mark.parametrize("path", ["team-{}/", "one-path/", ""])
    @pytest.mark.parametrize(
        "names, accounts", [(1, 4 * T), (3, T), ((T + 1) // 2, 2), (T // 2 + 1, 2), (T - 1, T)]
    )
    def test_a_burst_is_a_fan_out_if_no_account_has_the_threshold(
        self, load, path, names, accounts
    ):
        records = [
            denied(role_arn(path.format(i) + f"Audit{name}", f"1111222233{i:02}"), time=START + i)
            for i in range(accounts)
            for name in range(names)
        ]
        found = self.pattern(load(FAILED_ATTEMPTS), records)
        assert found == "few roles in each of many accounts"

    @pytest.mark.parametrize("others_come", ["first", "last"])
    def test_a_search_stays_one_whatever_is_tried_in_made_up_accounts(self, load, others_come):
        others = [
            denied(role_arn("Guess", f"99998888{i:04}"), time=START + i % 60) for i in range(5 * T)
        ]
        search = burst(T, step=1)
        records = others + search if others_come == "first" else search + others
        rule = load(FAILED_ATTEMPTS)
        found = [
            json.loads(result.alert_context_output)["pattern"]
            for record in records
            if (result := rule.run(event(record), {}, {}, batch_mode=True)).trigger_alert
        ]
        assert "many roles in one account" in found

    def test_very_many_roles_in_one_account_are_shown_as_a_search(self, load):
        many = burst(T * config.WITHOUT_DISCOVERY, step=1)
        assert self.pattern(load(FAILED_ATTEMPTS), many) == "many roles in one account"


class TestDiscovery:
    def test_discovery_times_need_a_known_principal(self, load):
        matches(load(LIST_ROLES), event(call("ListRoles")))
        attempt = event(denied(role_arn("X")))
        matches(load(FAILED_ATTEMPTS), attempt)
        assert helpers.discovery_times(attempt) == "2026-01-05T10:00:00Z"
        assert helpers.discovery_times(event(denied(role_arn("X"), who={}))) == ""

    def test_discovery_is_read_from_the_store_once_for_each_event(self, load, monkeypatch):
        asked = []
        original = helpers.get_string_set
        monkeypatch.setattr(
            helpers, "get_string_set", lambda key: asked.append(key) or original(key)
        )
        last_context(load(FAILED_ATTEMPTS), burst(T))
        assert len(asked) == 1

    def test_discovery_before_a_burst_leaves_nothing_to_pair(self, load):
        """The burst alerted on its own: neither the signal nor a later listing is paired."""
        lists, rule = load(LIST_ROLES), load(FAILED_ATTEMPTS)
        context = lists.run(event(call("ListRoles", time=START - 60)), {}, {}, batch_mode=True)
        assert json.loads(context.alert_context_output)["discoveryPrincipal"] == ALICE["arn"]
        burst_context = last_context(rule, burst(T))
        assert "searchPrincipal" not in burst_context and "fanOutPrincipal" not in burst_context
        later = lists.run(event(call("ListRoles", time=START + 900)), {}, {}, batch_mode=True)
        context = json.loads(later.alert_context_output)
        assert context["discoveryPrincipal"] is None and context["principal"] == ALICE["arn"]

    def test_discovery_after_a_burst_is_paired_with_it_and_later_attempts(self, load):
        lists, rule = load(LIST_ROLES), load(FAILED_ATTEMPTS)
        records = burst(T + 1)
        assert last_context(rule, records[:T])["searchPrincipal"] == ALICE["arn"]
        listing = event(call("ListRoles", time=START + (T - 1) * 30 + 1))
        context = lists.run(listing, {}, {}, batch_mode=True).alert_context_output
        assert json.loads(context)["discoveryPrincipal"] == ALICE["arn"]
        assert last_context(rule, records[T:])["searchPrincipal"] == ALICE["arn"]


class TestListRoles:
    def test_listings_by_people_and_roles_match_and_so_do_denied_ones(self, load):
        rule = load(LIST_ROLES)
        for kind in PrincipalKind:
            assert matches(rule, event(call("ListRoles", identity(kind, "mallory", "s"))))
        assert matches(rule, event(call("ListRoles", errorCode="AccessDenied")))

    @pytest.mark.parametrize("name", DISCOVERIES)
    def test_every_way_to_list_roles_matches(self, load, name):
        assert matches(load(LIST_ROLES), event(discovery(name)))

    @pytest.mark.parametrize(
        "record",
        [
            call("ListRoles", service("config.amazonaws.com")),
            call("ListRoles", {"type": "AWSAccount"}),
            call("ListRoles", eventSource="rolesanywhere.amazonaws.com"),
            call("GetAccountAuthorizationDetails", service("config.amazonaws.com")),
            BY_CONFIG | {"requestParameters": {"resourceType": "AWS::IAM::User"}},
            BY_CONFIG | {"requestParameters": {"typeName": "AWS::IAM::Role"}},
            BY_CONFIG | {"requestParameters": None},
            BY_CONFIG | {"requestParameters": "AWS::IAM::Role"},
            BY_CONFIG | {"eventSource": "iam.amazonaws.com"},
            discovery("ListResources") | {"requestParameters": {"typeName": ["AWS::IAM::Role"]}},
            call("ListUsers"),
            {},
        ],
    )
    def test_nothing_else_matches_or_is_stored(self, load, record):
        assert not matches(load(LIST_ROLES), event(record))
        assert caching.kv_table().scan()["Items"] == []

    def test_a_listing_matches_even_if_the_store_fails(self, load):
        rule = load(LIST_ROLES)
        caching.kv_table().delete()
        assert matches(rule, event(call("ListRoles")))

    def test_a_paged_listing_is_written_once(self, load):
        rule = load(LIST_ROLES)
        for second in range(20):
            matches(rule, event(call("ListRoles", time=START + second)))
        (item,) = caching.kv_table().scan()["Items"]
        assert len(item["stringSet"]) == 1

    def test_a_listing_names_the_principal_as_the_attempts_do(self, load):
        who = identity(PrincipalKind.ROLE, "Deploy", "one")
        other = identity(PrincipalKind.ROLE, "Deploy", "two")
        listed = load(LIST_ROLES).module.alert_context(event(call("ListRoles", who)))
        failed = load(FAILED_ATTEMPTS).module.alert_context(event(denied(role_arn("X"), other)))
        assert listed["principal"] == failed["principal"] == role_arn("Deploy")


class TestExpectedPrincipals:
    """Callers under EXPECTED_PRINCIPALS: no signal, and nothing stored."""

    @pytest.mark.parametrize(
        "pattern, who",
        [
            (ALICE["arn"], ALICE),
            ("arn:aws:iam::*:user/ali?e", ALICE),
            ("*:role/Deploy*", identity(PrincipalKind.ROLE, "DeployRole", "s1")),
            ("identity-center:*@example.com", identity(PrincipalKind.SSO, "eve@example.com", "")),
        ],
    )
    def test_expected_principals_raise_no_signal(self, load, monkeypatch, pattern, who):
        monkeypatch.setattr(config, "EXPECTED_PRINCIPALS", ["no one", pattern])
        assert not any(verdicts(load(FAILED_ATTEMPTS), burst(T + 2, who)))
        assert not matches(load(LIST_ROLES), event(call("ListRoles", who)))
        assert caching.kv_table().scan()["Items"] == []

    @pytest.mark.parametrize("pattern", ["alice", "arn:aws:iam::*:user/ALICE", "user/alice", ""])
    def test_expected_principals_are_whole_names(self, load, monkeypatch, pattern):
        monkeypatch.setattr(config, "EXPECTED_PRINCIPALS", [pattern])
        assert verdicts(load(FAILED_ATTEMPTS), burst(T))[-1]
