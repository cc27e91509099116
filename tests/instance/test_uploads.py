"""Uploads are stored as a whole, and items can be deleted."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from local_panther.instance.check.check import file_name
from local_panther.instance.http.server import running
from local_panther.instance.store.index import stored_content
from tests.builders.replays import CORRELATION, replayed, search_alerts, simulated
from tests.instance.conftest import TOKEN, Client, archive, repo_files

pytestmark = pytest.mark.process

RULE = {
    "AnalysisType": "rule",
    "RuleID": "Test.Rule",
    "Enabled": True,
    "Filename": "rule.py",
    "LogTypes": ["AWS.CloudTrail"],
    "Severity": "Low",
}
BODY = "def rule(event):\n    return True\n"


def one_rule(body=BODY, **fields) -> dict[str, str]:
    spec = {k: v for k, v in (RULE | fields).items() if v is not None}
    return {"rules/rule.yml": yaml.safe_dump(spec), "rules/rule.py": body}


def query(name: str, **fields) -> str:
    spec = {"AnalysisType": "saved_query", "QueryName": name, "Query": "select 1", **fields}
    return yaml.safe_dump(spec)


class TestStoring:
    def test_new_modified_and_total_items_are_counted(self, instance):
        first = instance.upload(archive(one_rule()))["result"]["rules"]
        again = instance.upload(archive(one_rule()))["result"]["rules"]
        edited = instance.upload(archive(one_rule(Severity="High")))["result"]["rules"]
        other_body = instance.upload(archive(one_rule(BODY + "\n", Severity="High")))
        assert first == {"new": 1, "modified": 0, "total": 1}
        assert again == {"new": 0, "modified": 0, "total": 1}
        assert edited == {"new": 0, "modified": 1, "total": 1}
        assert other_body["result"]["rules"] == {"new": 0, "modified": 1, "total": 1}

    def test_an_upload_keeps_the_items_that_it_does_not_contain(self, instance):
        instance.upload(archive(one_rule()))
        instance.upload(archive({"queries/a.yml": query("a")}))
        assert json.loads(instance.files()["state.json"])["items"].keys() == {"Test.Rule", "a"}

    def test_stored_items_survive_a_restart(self, tmp_path):
        state = tmp_path / "state"
        for _ in range(2):
            with running(state, TOKEN) as url:
                again = Client(url, state).upload(archive(one_rule()))
        assert again["result"]["rules"] == {"new": 0, "modified": 0, "total": 1}

    def test_stored_content_can_be_replayed(self, instance, tmp_path):
        assert instance.upload(archive(repo_files()))["status"] == "COMPLETED"
        trail = simulated(tmp_path / "trail", discovery_last=True)
        outcome = replayed(trail, content=stored_content(instance.state))
        (alert,) = search_alerts(outcome)
        assert alert.metadata.rule_id == CORRELATION
        assert alert.context["FailedAttempts"]["distinctTargets"] == 12

    def test_the_body_and_tests_of_a_rule_can_be_read_back(self, instance):
        tests = [
            {
                "Name": "t",
                "ExpectedResult": True,
                "Mocks": [{"objectName": "x", "returnValue": True}],
                "Log": {"a": 1},
            }
        ]
        instance.upload(archive(one_rule(Tests=tests)))
        fields = "name expectedResult resource mocks {objectName returnValue}"
        body = f'{{rulePythonBody(input: "Test.Rule") {{pythonBody tests {{{fields}}}}}}}'
        found = instance.ask(body)
        assert found["pythonBody"] == BODY
        assert found["tests"] == [
            {
                "name": "t",
                "expectedResult": True,
                "resource": '{"a": 1}',
                "mocks": [{"objectName": "x", "returnValue": "True"}],
            }
        ]

    def test_validation_stores_nothing(self, instance):
        found = instance.upload(archive(one_rule()), validate=True)
        assert found == {"status": "COMPLETED", "error": None, "result": {"issues": []}}
        assert not instance.files()

    def test_validation_names_file_and_field(self, instance):
        found = instance.upload(archive(one_rule(Severity="Terrible")), validate=True)
        (issue,) = found["result"]["issues"]
        assert issue["path"] == "rules/rule.yml" and "Severity" in issue["errorMessage"]

    def test_the_synchronous_upload_stores_items(self, instance):
        import base64

        kind = "UploadDetectionEntitiesInput"
        text = f"mutation($i: {kind}!) {{uploadDetectionEntities(input: $i) {{rules {{new}}}}}}"
        data = base64.b64encode(archive(one_rule())).decode()
        assert instance.ask(text, i={"data": data}) == {"rules": {"new": 1}}
        (error,) = instance.send(text, i={"data": "!"})["errors"]
        assert "not base64" in error["message"]


class TestDeleting:
    DETECTIONS = (
        "mutation($i: DeleteDetectionsInput!) {deleteDetections(input: $i) {ids savedQueryNames}}"
    )
    QUERIES = (
        "mutation($i: DeleteSavedQueriesByNameInput!) "
        "{deleteSavedQueriesByName(input: $i) {names detectionIDs}}"
    )

    @pytest.fixture
    def stored(self, instance):
        scheduled = RULE | {"AnalysisType": "scheduled_rule", "ScheduledQueries": ["q"]}
        scheduled = {k: v for k, v in scheduled.items() if k != "LogTypes"}
        files = {"rules/rule.yml": yaml.safe_dump(scheduled), "rules/rule.py": BODY}
        assert instance.upload(archive(files | {"queries/q.yml": query("q")}))["error"] is None
        return instance

    def items(self, instance):
        return set(json.loads(instance.files()["state.json"])["items"])

    def test_a_dry_run_of_a_deletion_returns_the_ids_and_deletes_nothing(self, stored):
        options = {"dryRun": True, "ids": ["Test.Rule", "nothing"], "includeSavedQueries": True}
        found = stored.ask(self.DETECTIONS, i=options)
        assert found == {"ids": ["Test.Rule"], "savedQueryNames": ["q"]}
        assert self.items(stored) == {"Test.Rule", "q"}

    def test_the_requested_items_are_deleted(self, stored):
        found = stored.ask(self.DETECTIONS, i={"ids": ["Test.Rule"]})
        assert found == {"ids": ["Test.Rule"], "savedQueryNames": []}
        assert self.items(stored) == {"q"}
        assert not [name for name in stored.files() if name.endswith(".py")]

    def test_deleting_a_query_can_include_the_detections_that_use_it(self, stored):
        options = {"names": ["q"], "includeDetections": True}
        found = stored.ask(self.QUERIES, i=options)
        assert found == {"names": ["q"], "detectionIDs": ["Test.Rule"]}
        assert self.items(stored) == set()

    def test_a_detection_cannot_be_deleted_as_a_query_nor_a_query_as_a_detection(self, stored):
        assert stored.ask(self.DETECTIONS, i={"ids": ["q"]})["ids"] == []
        assert stored.ask(self.QUERIES, i={"names": ["Test.Rule"]})["names"] == []
        assert self.items(stored) == {"Test.Rule", "q"}


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_file_names_of_items_are_safe_and_distinct(one, other):
    name = file_name(one)
    assert "/" not in name and "\0" not in name and not name.startswith(".") and len(name) < 200
    assert (file_name(one) == file_name(other)) == (one == other)
