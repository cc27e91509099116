"""Tests of saved queries that answer analysts' questions beyond an alert.

The files of `../shared/cases/inputs` are used if that folder exists.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.content.sql import parameters_in
from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders import queries
from tests.builders.events import ALICE, REPO, START, call, denied, role_arn, user
from tests.builders.queries import query_specs, sql_of
from tests.scale import examples

CASES = REPO.parent / "shared" / "cases" / "inputs"
SPECS = query_specs()
ALERT_TIME = "2026-01-05 10:30:00"
ISSUED = "aws_role_sessions_issued_query"
BOB = user("bob")
EMPTY = {"arn": "", "accessKeyId": "", "userName": "", "principalId": ""}


def rows_of(name, records, /, **values):
    """Run a saved query with parameters; strings that are not given are empty, as offline."""
    columns = parameters_in(sql_of(name))
    texts = [name for name, column in columns.items() if column.this.is_string]
    given = dict.fromkeys(texts, "") | {"alert_time": ALERT_TIME} | values
    given = {key: value for key, value in given.items() if key in columns}
    return queries.rows_of(name, records, START + 7200, given)


def case(name):
    path = CASES / name
    if not path.exists():
        pytest.skip(f"{path} is missing: the cases are kept beside the repository")
    return [json.loads(line) for line in path.read_text().splitlines()]


def issuing(api, who, key, time=START, source="sts", **parameters):
    response = {"credentials": {"accessKeyId": key}}
    more = {"requestParameters": parameters, "responseElements": response}
    return call(api, who, time, **more) | {"eventSource": f"{source}.amazonaws.com"}


WITH_JUMP_KEY = identity(PrincipalKind.ROLE, "Jump", "s") | {"accessKeyId": "ASIAEXAMPLEJUMP00001"}
ANYWHERE = call(
    "CreateSession",
    {"type": "Unknown", "principalId": "certificate"},
    eventSource="rolesanywhere.amazonaws.com",
    requestParameters={"roleArn": role_arn("path/Prod")},
    responseElements={"credentialSet": [{"credentials": {"accessKeyId": "ASIAEXAMPLEANYW00001"}}]},
)
PORTAL = call(
    "GetRoleCredentials",
    {"type": "IdentityCenterUser", "principalId": "person"},
    eventSource="sso.amazonaws.com",
    serviceEventDetails={"role_name": "Prod", "account_id": "123456789012"},
)
SWITCHED = call(
    "SwitchRole",
    identity(PrincipalKind.ROLE, "Prod", "al"),
    eventSource="signin.amazonaws.com",
    additionalEventData={"SwitchFrom": ALICE["arn"]},
    responseElements={"SwitchRole": "Success"},
)


def session(role, key, **context):
    who = identity(PrincipalKind.ROLE, role, "s") | {"accessKeyId": key}
    return who | {"sessionContext": who["sessionContext"] | context}


class TestWhoGotIntoARole:
    def test_every_call_that_issues_credentials_is_found(self):
        sts = {
            "AssumeRole": {"roleArn": role_arn("Prod"), "roleSessionName": "x"},
            "AssumeRoleWithSAML": {"roleArn": role_arn("Prod")},
            "AssumeRoleWithWebIdentity": {"roleArn": role_arn("Prod")},
        }
        records = [issuing(api, BOB, f"ASIA{api}", **given) for api, given in sts.items()]
        others = [
            denied(role_arn("Prod")),
            issuing("AssumeRole", BOB, "ASIAOTHER", roleArn=role_arn("ProdReadOnly")),
            issuing("AssumeRole", BOB, "ASIAOTHER2", roleArn=role_arn("NonProd")),
        ]
        found = rows_of(ISSUED, [*records, ANYWHERE, PORTAL, SWITCHED, *others], role_name="Prod")
        assert sorted(row["api"] for row in found) == sorted(
            [*sts, "CreateSession", "GetRoleCredentials", "SwitchRole"]
        )
        keys = {row["api"]: row["issued_access_key"] for row in found}
        assert keys["CreateSession"] == "ASIAEXAMPLEANYW00001"
        assert keys["AssumeRole"] == "ASIAAssumeRole"

    def test_a_chain_of_sessions_names_the_first_caller(self):
        records = [
            issuing("AssumeRole", ALICE, "ASIAEXAMPLEJUMP00001", roleArn=role_arn("Jump")),
            issuing("AssumeRole", WITH_JUMP_KEY, "ASIALAST", START + 60, roleArn=role_arn("Prod")),
        ]
        (row,) = rows_of(ISSUED, records, role_name="Prod")
        assert row["first_caller"] == ALICE["arn"] and row["access_key"] == "ASIAEXAMPLEJUMP00001"
        last, first = rows_of(ISSUED, records, access_key_id="ASIALAST")
        assert (last["caller"], first["caller"]) == (WITH_JUMP_KEY["arn"], ALICE["arn"])
        assert (last["steps_back"], first["steps_back"]) == (0, 1)

    @settings(max_examples=examples(10, 100), deadline=None)
    @given(st.integers(1, 19), st.randoms())
    def test_a_key_leads_back_to_the_first_caller_over_any_number_of_steps(self, steps, random):
        records = [issuing("AssumeRole", ALICE, "ASIA0", roleArn=role_arn("Role0"))]
        for step in range(1, steps + 1):
            who = session(f"Role{step - 1}", f"ASIA{step - 1}")
            target = role_arn(f"Role{step}")
            records.append(issuing("AssumeRole", who, f"ASIA{step}", START + step, roleArn=target))
        random.shuffle(records)
        found = rows_of(ISSUED, records, access_key_id=f"ASIA{steps}")
        assert [row["steps_back"] for row in found] == list(range(steps + 1))
        assert {row["first_caller"] for row in found} == {ALICE["arn"]}
        assert found[-1]["caller"] == ALICE["arn"]

    def test_the_key_of_a_user_leads_back_to_the_session_that_created_it(self):
        key = {"accessKey": {"accessKeyId": "AKIANEW", "userName": "svc"}}
        records = [
            issuing("AssumeRole", ALICE, "ASIA1", roleArn=role_arn("Prod")),
            call("CreateAccessKey", session("Prod", "ASIA1"), START + 60, responseElements=key),
        ]
        created, entered = rows_of(ISSUED, records, access_key_id="AKIANEW")
        assert (created["api"], entered["api"]) == ("CreateAccessKey", "AssumeRole")
        assert created["first_caller"] == ALICE["arn"]

    def test_a_call_and_its_copy_in_the_target_account_are_one_row(self):
        other = role_arn("Prod", "111122223333")
        entered = issuing("AssumeRole", ALICE, "ASIA1", roleArn=other)
        copy = issuing("AssumeRole", {"type": "AWSAccount", "principalId": "AIDA1"}, "ASIA1")
        copy |= {"requestParameters": {"roleArn": other}}
        (row,) = rows_of(ISSUED, [copy, entered], role_name="Prod")
        assert row["caller"] == ALICE["arn"]
        (row,) = rows_of(ISSUED, [copy], role_name="Prod")
        assert row["caller"] == "AIDA1"

    def test_a_log_with_a_single_key_does_not_multiply_its_rows(self):
        """In anonymised logs, each step would otherwise lead to all calls."""
        who = session("Prod", "ASIA1")
        parameters = {"roleArn": role_arn("Prod")}
        records = [issuing("AssumeRole", who, "ASIA1", START + i, **parameters) for i in range(50)]
        found = rows_of(ISSUED, records, access_key_id="ASIA1")
        assert 50 <= len(found) <= 50 * 21
        assert [row["steps_back"] for row in found].count(0) == 50

    def test_root_sessions_and_federation_are_found_by_their_key(self):
        root = issuing("AssumeRoot", ALICE, "ASIAROOT", targetPrincipal="222222222222")
        federated = issuing("GetFederationToken", ALICE, "ASIAFED", name="Prod")
        for key, target in (("ASIAROOT", "222222222222"), ("ASIAFED", None)):
            (row,) = rows_of(ISSUED, [root, federated], access_key_id=key)
            assert row["target"] == target
        assert rows_of(ISSUED, [federated], role_name="Prod") == []

    def test_an_empty_error_code_is_a_success_and_a_failed_switch_is_not(self):
        parameters = {"roleArn": role_arn("Prod")}
        entered = issuing("AssumeRole", ALICE, "ASIAPROD", **parameters)
        entered |= {"errorCode": "", "errorMessage": ""}
        failed = SWITCHED | {"responseElements": {"SwitchRole": "Failure"}}
        (row,) = rows_of(ISSUED, [entered, failed], role_name="Prod")
        assert row["api"] == "AssumeRole"
        (row,) = rows_of("aws_principal_history_query", [entered], name="alice")
        assert row["errors"] == 0

    def test_a_switch_with_the_role_in_its_additional_data_is_found(self):
        details = {"additionalEventData": {"SwitchFrom": "x", "RoleName": "Prod"}}
        switched = SWITCHED | {"userIdentity": ALICE} | details
        (row,) = rows_of(ISSUED, [switched], role_name="Prod")
        assert row["target"] == "Prod"

    def test_a_caller_without_an_arn_is_shown_by_name(self):
        caller = {"type": "SAMLUser", "arn": "", "userName": "zed"}
        saml = issuing("AssumeRoleWithSAML", caller, "ASIASAML", roleArn=role_arn("Prod"))
        (row,) = rows_of(ISSUED, [saml], role_name="Prod")
        assert row["caller"] == "zed"

    def test_the_case_from_outside_gives_the_whole_chain(self):
        found = rows_of(ISSUED, case("who-assumed-the-role.jsonl"), role_name="Prod")
        assert [(row["caller"].rpartition("/")[2], row["first_caller"]) for row in found] == [
            ("bob", "arn:aws:iam::123456789012:user/bob"),
            ("work", "arn:aws:iam::123456789012:user/alice"),
        ]


SAME = {"sourceIdentity": "alice@example.com"}


class TestSourceIdentity:
    def activity(self, records, **values):
        found = rows_of("aws_role_session_activity_query", records, **values)
        return [(row["caller"].rpartition("role/")[2], row["event_name"]) for row in found]

    def test_all_calls_of_all_its_sessions_are_found_and_the_call_that_set_it(self):
        parameters = {"roleArn": role_arn("Jump"), **SAME}
        first, second = session("Jump", "ASIA1", **SAME), session("Prod", "ASIA2", **SAME)
        records = [
            issuing("AssumeRole", ALICE, "ASIA1", **parameters),
            call("ListBuckets", first, START + 1, eventSource="s3.amazonaws.com"),
            call("CreateAccessKey", second, START + 2),
            call("ListUsers", session("Prod", "ASIA3", sourceIdentity="bob"), START + 3),
            call("ListUsers", session("Prod", "ASIA4"), START + 4),
            call("ListUsers", session("Prod", "ASIA5", sourceIdentity=""), START + 5),
        ]
        assert self.activity(records, source_identity="alice@example.com") == [
            (ALICE["arn"], "AssumeRole"),
            ("Jump/s", "ListBuckets"),
            ("Prod/s", "CreateAccessKey"),
        ]
        assert self.activity(records, access_key_id="ASIA4") == [("Prod/s", "ListUsers")]
        assert self.activity(records) == []


def test_the_history_has_regions_times_and_the_number_of_errors():
    records = [
        call("ListBuckets", time=START + i * 60, awsRegion=region, eventSource="s3.amazonaws.com")
        for i, region in enumerate(("us-east-1", "eu-west-1", "us-east-1"))
    ]
    records[1] |= {"errorCode": "AccessDenied", "errorMessage": "no"}
    (row,) = rows_of("aws_principal_history_query", records, name="alice")
    assert (row["calls"], row["errors"], row["regions"]) == (3, 1, "eu-west-1, us-east-1")
    assert row["first_call"] == "2026-01-05 10:00:00.000"
    assert row["last_call"] == "2026-01-05 10:02:00.000"


@pytest.mark.parametrize("name", sorted(SPECS))
def test_an_empty_parameter_does_not_match_an_empty_identity(name):
    if "parameters AS (" not in SPECS[name]["SnowflakeQuery"]:
        return
    if name == "aws_console_switch_role_query":
        return  # an empty role_name means every role there
    records = [
        call("CredentialChallenge", EMPTY, eventSource="signin.amazonaws.com", sourceIPAddress=""),
        call("AssumeRole", EMPTY, requestParameters={"roleArn": ""}),
        call("UpdateAssumeRolePolicy", EMPTY, requestParameters={"roleName": ""}),
    ]
    assert rows_of(name, records) == []


def sign_in(**fields):
    failed = {
        "errorMessage": "Failed authentication",
        "responseElements": {"ConsoleLogin": "Failure"},
    }
    return call("ConsoleLogin", ALICE, eventSource="signin.amazonaws.com", **failed, **fields)


def test_a_failed_sign_in_counts_as_an_error():
    (row,) = rows_of("aws_principal_history_query", [sign_in()] * 5, name="alice")
    assert (row["calls"], row["errors"]) == (5, 5)
    records = [sign_in(sourceIPAddress="198.51.100.7")]
    (row,) = rows_of("aws_activity_from_address_query", records, address="198.51.100.7")
    assert row["error_code"] == "Failed authentication"
    arn = {"session_arn": ALICE["arn"]}
    (row,) = rows_of("aws_role_session_activity_query", [sign_in()], **arn)
    assert row["error_code"] == "Failed authentication"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"errorMessage": None}, "Failure"),
        ({"errorCode": ""}, "Failed authentication"),
        ({"errorCode": "Denied"}, "Denied"),
    ],
)
def test_every_form_of_a_failed_sign_in_counts_as_an_error(fields, error):
    record = sign_in(sourceIPAddress="198.51.100.7") | fields
    (row,) = rows_of("aws_activity_from_address_query", [record], address="198.51.100.7")
    assert row["error_code"] == error
    (row,) = rows_of("aws_principal_history_query", [record], name="alice")
    assert row["errors"] == 1


def test_a_role_in_a_console_switch_must_match_by_its_whole_name():
    for name, count in (("Prod", 1), ("Pro", 0), ("rod", 0), ("", 1)):
        found = rows_of("aws_console_switch_role_query", [SWITCHED], role_name=name)
        assert len(found) == count


@pytest.mark.parametrize(
    ("query", "file", "values", "count"),
    [
        (
            "aws_role_session_activity_query",
            "session-activity-empty-arn.jsonl",
            {"access_key_id": "ASIAEXAMPLEJUMP00001"},
            2,
        ),
        ("aws_console_switch_role_query", "switch-role-substring.jsonl", {"role_name": "Admin"}, 1),
        (ISSUED, "who-assumed-the-role.jsonl", {"access_key_id": "ASIAEXAMPLEPROD00001"}, 2),
    ],
)
def test_a_case_from_outside_gives_the_expected_number_of_rows(query, file, values, count):
    assert len(rows_of(query, case(file), **values)) == count


def test_the_case_of_failed_sign_ins_has_only_errors():
    records = case("console-login-failures.jsonl")
    found = rows_of("aws_principal_history_query", records, name="alice")
    assert sum(row["calls"] for row in found) == sum(row["errors"] for row in found) == 5
