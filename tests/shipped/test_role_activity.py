"""The helpers that read who tried what on which role, for every form of record."""

import json
import math

import aws_role_activity_helpers as helpers
import aws_role_escalation_config as config
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from panther_core.enriched_event import PantherEvent

from local_panther.simulate.identities import PrincipalKind, identity, service
from tests.builders.events import ALICE, START, call, denied, denied_update, event, role_arn

ADMIN = role_arn("Admin")
SSO_PATH = "aws-reserved/sso.amazonaws.com/"
TRAILER = (
    ". Go to https://docs.aws.amazon.com/ for complete details, or call the "
    "GetRequestAuthorizationDetails API with the following authorization id: 0."
)
SCP = (
    " with an explicit deny in a service control policy: "
    "arn:aws:organizations::111122223333:policy/o-example/service_control_policy/p-example"
)

# What may follow the resource in a denial
TAILS = (
    "",
    " because no identity-based policy allows the sts:AssumeRole action",
    " because no session policy allows the sts:AssumeRole action",
    " because no permissions boundary allows the sts:AssumeRole action",
    " with an explicit deny",
    " with an explicit deny in an identity-based policy",
    " with an explicit deny in a service control policy",
    SCP,
    " with an explicit deny in a resource control policy",
)


def denied_trust(resource: str, tail: str = "", **fields) -> dict:
    """Return a denied UpdateAssumeRolePolicy whose message contains this text as the resource."""
    message = f"User: {ALICE['arn']} is not authorized to perform: iam:UpdateAssumeRolePolicy "
    return denied_update(
        "", **{"errorMessage": f"{message}on resource: {resource}{tail}", **fields}
    )


class TestTarget:
    @pytest.mark.parametrize(
        "record, target",
        [
            (denied(ADMIN), ADMIN),
            (denied(ADMIN, tail=" because no identity-based policy allows it"), ADMIN),
            (denied(ADMIN, tail=" with an explicit deny in a permissions boundary"), ADMIN),
            (denied(role_arn("teams/data/Admin")), role_arn("teams/data/Admin")),
            (denied("arn:aws-cn:iam::123456789012:role/A"), "arn:aws-cn:iam::123456789012:role/A"),
            (
                denied("arn:aws-us-gov:iam::123456789012:role/A"),
                "arn:aws-us-gov:iam::123456789012:role/A",
            ),
            (
                denied(ADMIN).copy() | {"requestParameters": {"roleArn": role_arn("B")}},
                role_arn("B"),
            ),
            (denied(ADMIN, tail=TRAILER), ADMIN),
            (denied(role_arn("Dotted."), tail=TRAILER), role_arn("Dotted.")),
            (denied(role_arn("Dotted.")), role_arn("Dotted.")),
            (denied(ADMIN, tail=f" because no session policy allows it{TRAILER}"), ADMIN),
            (denied(ADMIN, tail=SCP), ADMIN),
            (denied_update("Admin"), "123456789012:role/Admin"),
            (denied_trust("role Admin", TRAILER), "123456789012:role/Admin"),
            (denied_trust("role Dotted.", TRAILER), "123456789012:role/Dotted."),
            (denied_trust("role Admin", SCP + TRAILER), "123456789012:role/Admin"),
            (denied_trust(ADMIN, " with an explicit deny"), ADMIN),
            (denied_trust(role_arn("teams/A"), TRAILER), role_arn("teams/A")),
            (
                call(
                    "UpdateAssumeRolePolicy",
                    errorCode="ValidationError",
                    requestParameters={"roleName": role_arn("teams/A")},
                ),
                role_arn("teams/A"),
            ),
            (
                call(
                    "UpdateAssumeRolePolicy",
                    errorCode="NoSuchEntityException",
                    requestParameters={"roleName": "Gone"},
                ),
                "123456789012:role/Gone",
            ),
        ],
    )
    def test_the_target_is_found_in_parameters_or_message(self, record, target):
        assert helpers.attempt_target(event(record)) == target

    @pytest.mark.parametrize("trailer", ["", TRAILER])
    @pytest.mark.parametrize("tail", TAILS)
    def test_the_target_is_found_whatever_follows_the_resource(self, tail, trailer):
        for name in ("Admin", "teams/Admin", "Dotted.", "a+b=c,d.e@f-g_h"):
            arn = role_arn(name)
            assert helpers.attempt_target(event(denied(arn, tail=tail + trailer))) == arn
            for resource, target in ((arn, arn), ("role Admin", "123456789012:role/Admin")):
                record = denied_trust(resource, tail + trailer)
                assert helpers.attempt_target(event(record)) == target

    @pytest.mark.parametrize(
        "record",
        [
            denied(ADMIN, errorMessage="MultiFactorAuthentication failed with invalid MFA code."),
            denied(ADMIN, errorMessage=None),
            denied(ADMIN, errorMessage=["not", "text"]),
            denied("arn:aws:iam::123456789012:user/alice"),
            denied("arn:aws:iam::12:role/Admin"),
            denied("arn:aws:iam::123456789012:role/"),
            denied("arn:aws:iam::123456789012:role/teams/"),
            denied(
                "",
                errorMessage="User: x is not authorized to perform: sts:AssumeRole because no role "
                "trust policy allows the sts:AssumeRole action",
            ),
            denied("role Admin"),
            denied_update("Admin", recipientAccountId=None, who={"type": "IAMUser"}),
            call("AssumeRole", requestParameters="roleArn"),
            call("AssumeRole", requestParameters={"roleArn": ["a"]}),
            call("DeleteRole", requestParameters={"roleName": "Admin"}),
        ],
    )
    def test_the_target_is_none_if_the_record_does_not_name_it(self, record):
        assert helpers.attempt_target(event(record)) is None

    @pytest.mark.parametrize(
        "smuggled",
        [
            f"{role_arn('Decoy')}\n{ADMIN}",
            f"{role_arn('Decoy')}\t{ADMIN}",
            f"{role_arn('Decoy')}\0{ADMIN}",
            f"{role_arn('Décoy')}",
        ],
    )
    def test_the_target_is_none_for_characters_that_no_role_has(self, smuggled):
        assert helpers.attempt_target(event(denied(smuggled))) is None

    def test_the_target_is_the_resource_and_not_one_quoted_before_it(self):
        quoted = f"is not authorized to perform: sts:AssumeRole on resource: {role_arn('Decoy')}"
        record = denied(ADMIN, errorMessage=f"Value '{quoted}' failed to satisfy constraint")
        assert helpers.attempt_target(event(record)) is None

    @pytest.mark.parametrize(
        "recipient, own, account",
        [
            ("111122223333", "444455556666", "111122223333"),
            (None, "444455556666", "444455556666"),
            ("1111", "444455556666", "444455556666"),
            (None, None, None),
        ],
    )
    def test_the_target_of_a_trust_policy_is_in_the_account_of_the_record(
        self, recipient, own, account
    ):
        who = ALICE | {"accountId": own}
        record = event(denied_update("Deploy", who, recipientAccountId=recipient))
        assert helpers.attempt_target(record) == (account and f"{account}:role/Deploy")

    def test_two_denials_of_one_role_have_the_same_target(self):
        first, second = denied(ADMIN), denied(ADMIN, tail=" because of a policy", time=START + 9)
        assert helpers.attempt_target(event(first)) == helpers.attempt_target(event(second))


class TestRoleKey:
    @pytest.mark.parametrize(
        "record",
        [
            denied(role_arn("Admin")),
            denied(role_arn("teams/data/Admin")),
            denied("arn:aws-cn:iam::123456789012:role/Admin"),
            denied_update("Admin"),
            denied_trust(role_arn("teams/Admin"), recipientAccountId="111122223333"),
            call("AssumeRole", requestParameters={"roleArn": role_arn("teams/Admin")}),
            call("UpdateAssumeRolePolicy", requestParameters={"roleName": "Admin"}),
        ],
    )
    def test_the_key_is_the_same_for_every_call_on_a_role(self, record):
        assert helpers.role_key(helpers.attempt_target(event(record))) == "123456789012:role/Admin"

    def test_roles_of_different_accounts_have_different_keys(self):
        assert helpers.role_key(role_arn("Admin", "111122223333")) == "111122223333:role/Admin"

    def test_a_path_like_another_role_does_not_mislead_the_key(self):
        odd = role_arn("111122223333:role/Admin")
        assert helpers.role_key(odd) == "123456789012:role/Admin"


class TestFailedAttempt:
    @pytest.mark.parametrize(
        "record",
        [
            denied(ADMIN),
            denied_update("Admin"),
            denied(ADMIN, errorCode=None),
            denied(ADMIN, eventName="AssumeRoleWithWebIdentity"),
            call("UpdateAssumeRolePolicy", errorCode="MalformedPolicyDocumentException"),
        ],
    )
    def test_a_call_with_an_error_about_access_is_a_failed_attempt(self, record):
        assert helpers.is_failed_role_attempt(event(record))

    @pytest.mark.parametrize(
        "code, name", [("AccessDenied", "AccessDenied"), ("NoSuchEntityException", "NoSuchEntity")]
    )
    def test_an_error_has_a_name(self, code, name):
        assert helpers.error_name({"errorCode": code}) == name

    @pytest.mark.parametrize("code", [None, 7, ["AccessDenied"], {}])
    def test_an_error_without_a_code_has_no_name(self, code):
        assert helpers.error_name({"errorCode": code}) == ""

    @pytest.mark.parametrize(
        "code",
        [
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "Client.RequestLimitExceeded",
            "InternalFailure",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "RequestExpired",
            "RegionDisabledException",
        ],
    )
    def test_throttling_service_faults_and_credential_errors_are_not_failed_attempts(self, code):
        assert not helpers.is_failed_role_attempt(event(denied(ADMIN, errorCode=code)))

    @pytest.mark.parametrize(
        "record",
        [
            call("AssumeRole"),
            call("ListRoles", errorCode="AccessDenied"),
            denied(ADMIN, eventName="AssumeRoleWithSAML"),  # a blind spot: it names no caller
            call("AssumeRole", errorMessage="not known to be about access"),
            denied(ADMIN, eventName="AssumeRoot"),
            denied(ADMIN, eventSource="iam.amazonaws.com"),
            denied(ADMIN, eventName=None),
            {},
        ],
    )
    def test_no_other_call_is_a_failed_attempt(self, record):
        assert not helpers.is_failed_role_attempt(event(record))


class TestPrincipal:
    def principal(self, who):
        return helpers.principal_arn(event(call("ListRoles", who)))

    def test_users_root_and_federated_users_are_their_arn(self):
        for kind in (PrincipalKind.USER, PrincipalKind.ROOT, PrincipalKind.FEDERATED):
            who = identity(kind, "mallory", "")
            assert self.principal(who) == who["arn"]

    def test_sessions_of_a_role_are_the_role(self):
        first, second = (identity(PrincipalKind.ROLE, "Deploy", name) for name in ("one", "two"))
        assert self.principal(first) == self.principal(second) == role_arn("Deploy")

    def test_sessions_of_a_role_with_a_path_are_its_whole_arn(self):
        """Only the issuer's ARN has the path; the session's own ARN does not."""
        who = identity(PrincipalKind.ROLE, "Deploy", "one")
        who["sessionContext"]["sessionIssuer"]["arn"] = role_arn("team-a/Deploy")
        assert self.principal(who) == role_arn("team-a/Deploy")

    @pytest.mark.parametrize("issuer", [None, " ", 7, {}])
    def test_the_session_names_the_role_if_the_issuer_is_invalid(self, issuer):
        who = identity(PrincipalKind.ROLE, "Deploy", "one")
        who["sessionContext"]["sessionIssuer"]["arn"] = issuer
        assert self.principal(who) == role_arn("Deploy")

    def test_a_role_session_without_an_issuer_is_still_the_role(self):
        who = identity(PrincipalKind.ROLE, "Deploy", "one")
        del who["sessionContext"]
        assert self.principal(who) == role_arn("Deploy")

    @pytest.mark.parametrize(
        "issuer, principal",
        [
            (role_arn("team-a/Deploy"), role_arn("team-a/Deploy")),
            (
                role_arn(f"{SSO_PATH}AWSReservedSSO_Admin_0"),
                role_arn(f"{SSO_PATH}AWSReservedSSO_Admin_0"),
            ),
            (None, "odd"),
        ],
    )
    def test_the_issuer_names_the_role_if_the_sessions_arn_is_odd(self, issuer, principal):
        who = identity(PrincipalKind.ROLE, "Deploy", "one") | {"arn": "odd"}
        who["sessionContext"]["sessionIssuer"]["arn"] = issuer
        assert self.principal(who) == principal

    def test_a_caller_of_identity_center_is_the_person(self):
        dana, eve = (identity(PrincipalKind.SSO, name, "") for name in ("dana@x.org", "eve@x.org"))
        assert self.principal(dana) == "identity-center:dana@x.org" != self.principal(eve)

    @pytest.mark.parametrize("account", ["123456789012", "111122223333"])
    @pytest.mark.parametrize("path", ["", "eu-west-1/"])
    @pytest.mark.parametrize("permissions", ["Admin_0123456789abcdef", "ReadOnly_fedcba9876543210"])
    @pytest.mark.parametrize("partition", ["aws", "aws-us-gov"])
    def test_a_person_is_the_same_in_all_accounts_and_permission_sets(
        self, partition, permissions, path, account
    ):
        role = f"AWSReservedSSO_{permissions}"
        arn = f"arn:{partition}:sts::{account}:assumed-role/{role}/dana@x.org"
        issuer = f"arn:{partition}:iam::{account}:role/{SSO_PATH}{path}{role}"
        who = {
            "type": "AssumedRole",
            "arn": arn,
            "sessionContext": {"sessionIssuer": {"arn": issuer}},
        }
        assert self.principal(who) == "identity-center:dana@x.org"

    @pytest.mark.parametrize("path", ["", "team/", f"team:role/{SSO_PATH}", "sso.amazonaws.com/"])
    def test_a_role_that_is_only_named_like_identity_centers_is_the_role(self, path):
        """Anybody who can create roles can choose the name, but not the path."""
        who = identity(PrincipalKind.ROLE, "AWSReservedSSO_x", "dana@x.org")
        issuer = role_arn(f"{path}AWSReservedSSO_x")
        who["sessionContext"]["sessionIssuer"]["arn"] = issuer
        assert self.principal(who) == issuer

    def test_each_session_of_a_listed_saml_role_is_a_principal(self, monkeypatch):
        monkeypatch.setattr(config, "PERSON_ROLE_PREFIXES", ["AzureAD-", "Okta.SSO"])
        for name in ("Okta.SSO", "Okta.SSO-Admin", "AzureAD-x"):
            who = identity(PrincipalKind.ROLE, name, "erin@x.org")
            assert self.principal(who) == who["arn"]
        for name in ("OktaXSSO", "My-Okta.SSO", "AzureAD"):
            who = identity(PrincipalKind.ROLE, name, "erin@x.org")
            assert self.principal(who) == role_arn(name)

    def test_each_session_is_a_principal_if_collapsing_is_turned_off(self, monkeypatch):
        monkeypatch.setattr(config, "COLLAPSE_SESSIONS", False)
        for kind in (PrincipalKind.ROLE, PrincipalKind.SSO):
            who = identity(kind, "Deploy", "one")
            assert self.principal(who) == who["arn"]

    @pytest.mark.parametrize(
        "who",
        [
            service("lambda.amazonaws.com"),
            service("lambda.amazonaws.com") | {"arn": "arn:aws:iam::123456789012:role/x"},
            {"type": "AWSAccount", "accountId": "111122223333", "principalId": "AIDAEXAMPLE"},
            {"type": "SAMLUser", "userName": "erin", "identityProvider": "idp"},
            {"type": "WebIdentityUser", "userName": "1234"},
            {"type": "WebIdentityUser", "userName": " ", "identityProvider": "accounts.google"},
            {"type": "IdentityCenterUser", "accountId": "123456789012"},
            {"type": "Unknown"},
            {},
            {"type": "IAMUser"},
            {"type": "IAMUser", "arn": ""},
            {"type": "IAMUser", "arn": 7},
            "alice",
        ],
    )
    def test_services_and_callers_without_an_arn_are_not_principals(self, who):
        assert self.principal(who) is None

    def test_a_caller_of_openid_connect_is_its_provider_and_name(self):
        who = {"type": "WebIdentityUser", "userName": "1234", "identityProvider": "accounts.google"}
        assert self.principal(who) == "web-identity:accounts.google:1234"


class TestTime:
    def test_times_are_written_in_utc(self, far_from_greenwich):
        assert helpers.iso_time(START) == "2026-01-05T10:00:00Z"

    @pytest.mark.parametrize(
        "text", ["2026-01-05T10:00:00Z", "2026-01-05 10:00:00.000", "2026-01-05 10:00:00.000000000"]
    )
    def test_times_are_read_in_the_forms_of_cloudtrail_and_panther(self, text, far_from_greenwich):
        assert helpers.event_epoch({"eventTime": text}) == START

    def test_panthers_field_is_used_if_the_event_time_is_invalid(self):
        for unusable in (None, 1, "soon", "1969-12-31T23:59:59Z"):
            record = {"eventTime": unusable, "p_event_time": "2026-01-05 10:00:00"}
            assert helpers.event_epoch(record) == START

    @pytest.mark.parametrize(
        "text", [None, "", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
    )
    def test_a_time_that_cannot_be_written_is_none(self, text):
        assert helpers.event_epoch({"eventTime": text}) is None

    @given(st.integers(0, helpers.LATEST_EPOCH))
    @example(0)
    @example(helpers.LATEST_EPOCH)
    def test_a_time_survives_being_written(self, epoch):
        assert helpers.event_epoch({"eventTime": helpers.iso_time(epoch)}) == epoch


def test_recorded_denials_all_have_a_target_and_a_principal(recorded_events):
    attempts = [e for e in recorded_events if helpers.is_failed_role_attempt(e)]
    assert len(attempts) == 6
    for attempt in attempts:
        assert helpers.attempt_target(attempt)
        assert helpers.principal_arn(attempt)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged_events(draw) -> PantherEvent:
    """Draw a realistic record with any value in some of its fields."""
    record = draw(st.sampled_from([denied(ADMIN), denied_update("Admin"), call("ListRoles")]))
    record = json.loads(json.dumps(record))
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=4)):
        node = record
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[path[-1]] = draw(JSON)
    return event(record)


PATHS = [
    ("userIdentity",),
    *[("userIdentity", key) for key in (*ALICE, "sessionContext")],
    *[(key,) for key in call("ListRoles")],
    ("errorCode",),
    ("errorMessage",),
    ("p_event_time",),
]


@given(damaged_events())
def test_an_event_of_any_shape_gives_answers_not_exceptions(damaged):
    helpers.is_failed_role_attempt(damaged)
    helpers.is_role_discovery(damaged)
    for answer in (helpers.attempt_target(damaged), helpers.principal_arn(damaged)):
        assert answer is None or isinstance(answer, str)
    helpers.session_name(damaged)
    helpers.event_epoch(damaged)
    context = helpers.cloudtrail_context(damaged)
    assert len(json.dumps(context, allow_nan=False)) < 200_000


class TestBounded:
    """Values that are copied from an event into an alert context."""

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            -5,
            2**63 - 1,
            1 - 2**63,
            0.5,
            -1e300,
            "",
            "x" * 1024,
            {"a": [1, {"b": 2}]},
        ],
    )
    def test_ordinary_values_are_kept(self, value):
        assert helpers.bounded(value) == value

    @pytest.mark.parametrize(
        "value, kept",
        [
            ("x" * 1025, "x" * 1024 + "…"),
            (2**63, "(int)"),
            (-(2**63), "(int)"),
            (math.inf, "inf"),
            (math.nan, "nan"),
            (object(), "(object)"),
            ({1: 2}, {"1": 2}),
            ({"k" * 1025: 1}, {"k" * 1024: 1}),
            ((1, 2), [1, 2]),
            (list(range(51)), list(range(50))),
            ({f"{i:03}": i for i in range(51)}, {f"{i:03}": i for i in range(50)}),
        ],
    )
    def test_others_are_cut_or_named(self, value, kept):
        assert helpers.bounded(value) == kept

    @pytest.mark.parametrize("nest", [lambda inner: [inner], lambda inner: {"a": inner}])
    def test_six_levels_are_kept_and_deeper_values_are_named(self, nest):
        levels = [nest(0)]
        for _ in range(7):
            levels.append(nest(levels[-1]))
        assert helpers.bounded(levels[5]) == levels[5]
        cut = helpers.bounded(levels[6])
        for _ in range(6):
            (cut,) = cut.values() if isinstance(cut, dict) else cut
        assert cut == f"({type(levels[0]).__name__})"

    @pytest.mark.parametrize("more, kept", [(0, True), (1, False)])
    def test_sixteen_kilobytes_are_kept_whole(self, more, kept):
        value = ["x" * 1020] * 16  # 1,024 bytes each as JSON, brackets and separators included
        value[0] = "x" * (1020 - len(json.dumps(value)) + 16 * 1024 + more)
        assert len(json.dumps(value)) == 16 * 1024 + more
        assert (helpers.bounded(value) == value) is kept


def test_a_context_stays_small_whatever_the_caller_puts_in():
    record = call("ListRoles", ALICE | {"tags": {f"k{i}": "x" * 5000 for i in range(5000)}})
    context = helpers.cloudtrail_context(event(record))
    assert len(json.dumps(context)) < 20_000
    assert context["userIdentity"] == "(left out: too large)"
