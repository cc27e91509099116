"""The data model, which has the mappings of Panther's standard model."""

import pytest
import yaml
from panther_core.data_model import DataModel
from panther_core.enriched_event import PantherEvent

from tests.builders.events import REPO, call

FILE = REPO / "data_models" / "aws_cloudtrail_data_model"


@pytest.fixture(scope="module")
def model():
    spec = yaml.safe_load(FILE.with_suffix(".yml").read_text())
    mappings = [{key.lower(): value for key, value in m.items()} for m in spec["Mappings"]]
    body = FILE.with_suffix(".py").read_text()
    return DataModel({"id": "test", "mappings": mappings, "versionId": "", "body": body})


@pytest.fixture
def udm(model):
    return lambda record, name: PantherEvent(record, model).udm(name)


def caller(kind, **fields):
    return call("ListRoles", {"type": kind, **fields})


ISSUER = {"sessionContext": {"sessionIssuer": {"userName": "DeployRole"}}}
SSO_ISSUER = {"sessionContext": {"sessionIssuer": {"userName": "AWSReservedSSO_Admin_0"}}}


@pytest.mark.parametrize(
    "record, actor",
    [
        (caller("Root", userName="owner", accountId="123456789012"), "owner"),
        (caller("Root", accountId="123456789012"), "123456789012"),
        (caller("Root"), "UnknownRootUser"),
        (call("ListRoles"), "alice"),
        (caller("IAMUser"), "UnknownIAMUser"),
        *[(caller(kind, userName="u"), "u") for kind in ("Directory", "Unknown", "SAMLUser")],
        (caller("WebIdentityUser", userName="u"), "u"),
        (caller("WebIdentityUser"), "UnknownWebIdentityUser"),
        (caller("AssumedRole", **ISSUER), "DeployRole"),
        (caller("Role", **ISSUER), "DeployRole"),
        (caller("FederatedUser", **ISSUER), "DeployRole"),
        (caller("AssumedRole"), "UnknownAssumedRole"),
        (caller("AssumedRole", principalId="AROA:dana@x.org", **SSO_ISSUER), "dana@x.org"),
        (caller("AssumedRole", **SSO_ISSUER), "UnknownAssumedRole"),
        (
            caller("IdentityCenterUser") | {"additionalEventData": {"UserName": "dana"}},
            "dana",
        ),
        (caller("IdentityCenterUser"), "UnknownIdentityCenterUser"),
        (caller("AWSService", sourceIdentity="s"), "s"),
        (caller("AWSAccount"), "UnknownAWSAccount"),
        (caller("Other", invokedBy="x.amazonaws.com", eventType="AwsApiCall"), "UnknownUser"),
        (
            caller(None, invokedBy="x.amazonaws.com") | {"eventType": "AwsServiceEvent"},
            "x.amazonaws.com",
        ),
        ({"eventType": "AwsServiceEvent"}, "UnknownAwsServiceEvent"),
        ({}, "UnknownUser"),
        ({"userIdentity": "alice"}, "UnknownUser"),
    ],
)
def test_actor_user(udm, record, actor):
    assert udm(record, "actor_user") == actor


@pytest.mark.parametrize(
    "record, kind",
    [
        (call("ConsoleLogin", responseElements={"ConsoleLogin": "Failure"}), "failed_login"),
        (call("ConsoleLogin", responseElements={"ConsoleLogin": "Success"}), "successful_login"),
        (call("ConsoleLogin"), None),
        (caller("AssumedRole") | {"eventName": "ConsoleLogin"}, None),
        (call("CreateUser"), "user_account_created"),
        (call("CreateAccountResult"), "account_created"),
        (call("ListRoles"), None),
        ({}, None),
    ],
)
def test_event_type(udm, record, kind):
    assert udm(record, "event_type") == kind


@pytest.mark.parametrize(
    "address, expected",
    [
        ("203.0.113.10", "203.0.113.10"),
        ("2001:db8::7", "2001:db8::7"),
        ("lambda.amazonaws.com", None),
        ("AWS Internal", None),
        (None, None),
        (7, None),
    ],
)
def test_source_ip(udm, address, expected):
    assert udm(call("ListRoles", sourceIPAddress=address), "source_ip") == expected


def test_created_users_and_agents_are_found_by_path(udm):
    created = call("CreateUser", responseElements={"user": {"userName": "eve", "userId": "AIDA1"}})
    assert udm(created, "user") == "eve"
    assert udm(created, "user_account_id") == "AIDA1"
    assert udm(created, "user_agent") == "generated for a test"
    assert udm(call("CreateUser"), "user") is None


def test_the_model_has_the_standard_mappings_and_needs_no_helper():
    """Either model can replace the other, and this one loads without the package's helpers."""
    spec = yaml.safe_load(FILE.with_suffix(".yml").read_text())
    assert {mapping["Name"] for mapping in spec["Mappings"]} == {
        "actor_user",
        "event_type",
        "source_ip",
        "user_agent",
        "user",
        "user_account_id",
    }
    assert "helpers" not in FILE.with_suffix(".py").read_text()
