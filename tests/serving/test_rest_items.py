"""Detections of all kinds, helpers, data models, queries, users and roles over REST."""

import json
import re
import uuid
from urllib.parse import quote

import pytest
import yaml

from tests.builders import hostile
from tests.builders.replays import BLOCKLIST, CORRELATION, FAILED_ATTEMPTS
from tests.instance.conftest import archive

pytestmark = pytest.mark.process

SIMPLE = {
    "AnalysisType": "rule",
    "RuleID": "Test.Simple",
    "Enabled": True,
    "LogTypes": ["AWS.CloudTrail"],
    "Severity": "Low",
    "Detection": [{"Key": "eventName", "Condition": "Equals", "Value": "ListRoles"}],
    "Tests": [{"Name": "one", "ExpectedResult": True, "Log": {"eventName": "ListRoles"}}],
}
POLICY = {
    "AnalysisType": "policy",
    "PolicyID": "Test.Policy",
    "Enabled": False,
    "Filename": "policy.py",
    "Severity": "Medium",
    "ResourceTypes": ["AWS.S3.Bucket"],
    "Suppressions": ["arn:aws:s3:::example"],
}
PATHS = ("rules", "scheduled-rules", "simple-rules", "policies", "data-models", "globals")
PATHS += ("queries",)


@pytest.fixture(scope="session")
def stored(lake):
    """The instance, with a simple rule and a policy added."""
    files = {
        "simple.yml": yaml.safe_dump(SIMPLE),
        "policy.yml": yaml.safe_dump(POLICY),
        "policy.py": "def policy(resource):\n    return True\n",
    }
    assert lake.upload(archive(files))["status"] == "COMPLETED"
    return lake


@pytest.mark.parametrize("path", PATHS)
class TestEveryKind:
    def test_pages_have_every_item_once_and_each_can_be_read_alone(self, stored, path):
        whole = stored.get(f"/{path}")["results"]
        found, cursor = [], {}
        while True:
            page = stored.get(f"/{path}", limit=1, **cursor)
            found += page["results"]
            if "next" not in page:
                break
            cursor = {"cursor": page["next"]}
        assert found == whole != []
        for item in whole:
            assert stored.get(f"/{path}/{item['id']}") == item
            assert item["createdAt"] and item["managed"] is False

    def test_an_unknown_item_is_not_found(self, stored, path):
        status, answer = stored.rest("GET", f"/{path}/No.Such")
        assert status == 404 and "No.Such: no such" in answer["message"]

    def test_storing_an_item_as_it_was_read_changes_nothing(self, stored, path):
        item = stored.get(f"/{path}")["results"][0]
        method = "POST" if path == "queries" else "PUT"
        status, answer = stored.rest(method, f"/{path}/{item['id']}", item)
        assert status == 200, answer
        answer = answer["data"] if path == "globals" else answer
        times = {name: answer[name] for name in ("lastModified", "updatedAt") if name in answer}
        assert answer == item | times


class TestRules:
    def test_each_rule_is_only_in_the_list_of_its_kind(self, stored):
        ids = {path: {r["id"] for r in stored.get(f"/{path}")["results"]} for path in PATHS[:3]}
        assert {BLOCKLIST, FAILED_ATTEMPTS} < ids["rules"]
        assert ids["simple-rules"] == {"Test.Simple"}
        assert CORRELATION not in ids["rules"] | ids["scheduled-rules"]

    def test_a_rule_has_its_body_filters_and_tests(self, stored):
        rule = stored.get(f"/rules/{BLOCKLIST}")
        assert "def rule(event)" in rule["body"] and rule["severity"] == "HIGH"
        assert yaml.safe_load(rule["inlineFilters"])
        assert json.loads(rule["tests"][0]["resource"])["eventName"] == "AssumeRole"

    def test_each_filter_selects_only_matching_rules(self, stored):
        whole = stored.get("/rules")["results"]

        def ids(**parameters):
            return [rule["id"] for rule in stored.get("/rules", **parameters)["results"]]

        def those(keep):
            return [rule["id"] for rule in whole if keep(rule)]

        assert ids(state="enabled") == those(lambda r: r["enabled"])
        assert ids(state="disabled") == those(lambda r: not r["enabled"])
        assert ids(severity="HIGH") == those(lambda r: r["severity"] == "HIGH") != ids()
        assert ids(tag="Discovery") == those(lambda r: "Discovery" in r["tags"]) != []
        assert ids(log_type="AWS.CloudTrail") == ids() and ids(log_type="Okta.SystemLog") == []
        assert ids(name_contains="blocklist") == [BLOCKLIST]
        (user,) = stored.get("/users")["results"]
        assert ids(created_by=user["id"]) == ids() and ids(last_modified_by="else") == []

    def test_a_simple_rule_has_its_python_if_requested(self, stored):
        plain = stored.get("/simple-rules/Test.Simple")
        python = stored.get("/simple-rules/Test.Simple", include_python="true")
        assert "pythonBody" not in plain and "def " in python["pythonBody"]
        assert yaml.safe_load(plain["detection"]) == SIMPLE["Detection"]

    def test_a_disabled_rule_keeps_all_its_other_fields(self, stored):
        rule = stored.get(f"/rules/{FAILED_ATTEMPTS}")
        path = f"/rules/{FAILED_ATTEMPTS}"
        parameters = {"run_tests_first": "false"}
        status, changed = stored.rest("PUT", path, rule | {"enabled": False}, **parameters)
        assert status == 200 and changed == rule | {
            "enabled": False,
            "lastModified": changed["lastModified"],
        }
        status, again = stored.rest("PUT", path, rule, **parameters)
        assert status == 200 and again["enabled"]

    def test_a_rule_can_be_created_read_replaced_and_deleted(self, stored):
        rule = {
            "id": "Test.New",
            "severity": "LOW",
            "enabled": True,
            "body": "def rule(event):\n    return event.get('eventName') == 'ListRoles'\n",
            "logTypes": ["AWS.CloudTrail"],
            "tests": [{"name": "yes", "expectedResult": True, "resource": "{}", "mocks": []}],
        }
        assert stored.rest("PUT", "/rules/Test.New", rule)[0] == 201
        assert stored.rest("POST", "/rules", rule)[0] == 409
        assert stored.get("/rules/Test.New")["body"] == rule["body"]
        assert stored.rest("PUT", "/rules/Test.New", rule | {"id": "Test.Other"})[0] == 400
        assert stored.rest("DELETE", "/rules/Test.New") == (204, None)
        assert stored.rest("DELETE", "/rules/Test.New")[0] == 404
        assert stored.rest("POST", "/rules", rule)[0] == 200
        assert stored.rest("DELETE", "/rules/Test.New") == (204, None)

    @pytest.mark.parametrize(
        ("wrong", "named"),
        (
            ({"severity": "SEVERE"}, "severity"),
            ({"tests": [{"name": "no resource"}]}, "tests"),
            ({"body": "def rule(event)\n"}, "SyntaxError"),
            ({"body": ""}, "Filename"),
            ({"logTypes": ["No.Such"]}, "No.Such"),
            ({"threshold": "ten"}, "Threshold"),
        ),
    )
    def test_an_invalid_rule_is_refused_as_in_an_upload(self, stored, wrong, named):
        rule = {
            "id": "Test.Wrong",
            "severity": "LOW",
            "body": "def rule(event):\n    return True\n",
            "logTypes": ["AWS.CloudTrail"],
        }
        status, answer = stored.rest("POST", "/rules", rule | wrong)
        assert status == 400 and named in answer["message"]
        assert stored.rest("GET", "/rules/Test.Wrong")[0] == 404

    def test_running_unit_tests_in_a_change_is_refused_with_advice(self, stored):
        rule = stored.get(f"/rules/{BLOCKLIST}")
        status, answer = stored.rest("PUT", f"/rules/{BLOCKLIST}", rule, run_tests_first="true")
        assert status == 400 and "send run-tests-first=false" in answer["message"]


class TestOthers:
    def test_a_query_has_an_id_its_sql_and_its_schedule(self, stored):
        queries = stored.get("/queries")["results"]
        for query in queries:
            assert uuid.UUID(query["id"]) and query["sql"]
        assert any(query.get("schedule") for query in queries)

    def test_a_policy_can_be_read_and_its_compliance_status_is_not_supported(self, stored):
        (policy,) = stored.get("/policies", resource_type="AWS.S3.Bucket")["results"]
        assert policy["suppressions"] == POLICY["Suppressions"]
        status, answer = stored.rest("GET", "/policies", compliance_status="FAIL")
        assert status == 400 and "not supported by the local Panther" in answer["message"]

    def test_a_data_model_has_its_mappings(self, stored):
        (model,) = stored.get("/data-models")["results"]
        assert {"name", "method"} in [set(mapping) for mapping in model["mappings"]]

    def test_the_only_user_has_the_only_role_and_the_token_is_not_shown(self, stored):
        (user,), (role,) = stored.get("/users")["results"], stored.get("/roles")["results"]
        assert user["role"] == {"id": role["id"], "name": role["name"]}
        assert stored.get(f"/users/{user['id']}") == stored.get(f"/users/{user['email']}") == user
        assert stored.get(f"/roles/{role['id']}") == role
        assert stored.get("/users", contains="nobody")["results"] == []
        assert stored.get("/roles", name="Other", sort_dir="desc")["results"] == []
        token = stored.get("/api-tokens/self")
        assert token["permissions"] == role["permissions"] and "value" not in token
        assert stored.get("/api-tokens")["results"] == [token]


@pytest.mark.parametrize(
    ("method", "path"),
    (
        ("GET", "/log-sources/http/x"),
        ("POST", "/log-sources/http"),
        ("POST", "/users"),
        ("DELETE", "/roles/x"),
        ("POST", "/api-tokens/x/rotate"),
        ("DELETE", "/alerts"),
        ("GET", "/public/graphql"),
        ("GET", "/alerts/x/y/z"),
        ("OPTIONS", "/alerts"),
    ),
)
def test_an_unknown_path_is_reported(lake, method, path):
    status, answer = lake.rest(method, path, {} if method == "POST" else None)
    assert status in (404, 405)
    assert f"{method} {path}: not supported by the local Panther" in answer["message"]


@pytest.mark.attack("serve")
def test_a_stored_item_of_any_id_can_be_read_and_deleted(instance, record_property):
    """Panther accepts all but a few characters in an ID, for example line breaks and slashes."""
    whole = [text.encode(errors="ignore").decode() for text in hostile.SHORT.values()]
    ids = {re.sub(r'[<>&\\"%\0]', "", text) for text in whole} | {".", "..", "a/b", "a\nb"}
    ids = {name for name in ids if re.search(r"[^ -~]|[/.]", name) and not name.isspace()}
    record_property("tried", len(ids))
    files = {f"{n}.yml": yaml.safe_dump(SIMPLE | {"RuleID": name}) for n, name in enumerate(ids)}
    uploaded = instance.upload(archive(files))
    assert uploaded["status"] == "COMPLETED", uploaded["error"]
    paths = {name: f"/simple-rules/{quote(name, safe='')}" for name in ids}
    assert {instance.get(path)["id"] for path in paths.values()} == ids
    assert {instance.rest("DELETE", path)[0] for path in paths.values()} == {204}
    assert {instance.rest("GET", path)[0] for path in paths.values()} == {404}
