"""Uploads are stored as a whole or refused as a whole, with file and field."""

import io
import json
import stat
import zipfile

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.instance.check import checker
from local_panther.instance.check.check import file_name
from local_panther.instance.http.server import running
from local_panther.instance.store import archive as archives
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


def member(name: str, content: bytes = b"x", **attributes) -> bytes:
    info = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(info, content)
    return buffer.getvalue()


class TestRefusing:
    """Uploads that are refused: nothing is stored, and the message names problem and place."""

    @pytest.mark.parametrize(
        "packed, message",
        [
            (b"", "not a valid zip file"),
            (b"PK\x03\x04 broken", "not a valid zip file"),
            (archive(one_rule())[:-30], "not a valid zip file"),
            (archive({}), "holds no content"),
            (archive({"README.md": "hello"}), "holds no content"),
            (member("../outside.yml"), "'../outside.yml': would be written outside"),
            (member("a/../../outside.yml"), "would be written outside"),
            (member("/etc/outside.yml"), "would be written outside"),
            (member("..\\outside.yml"), "would be written outside"),
            (member("C:outside.yml"), "would be written outside"),
            (member("link", b"/etc", external_attr=(stat.S_IFLNK | 0o777) << 16), "is a link"),
            (b"x" * (archives.MAX_ARCHIVE_BYTES + 1), "the limit is 5 MB"),
        ],
    )
    def test_hostile_archives_are_refused(self, instance, packed, message):
        assert message in instance.refused(packed)

    def test_archives_that_expand_too_much_are_refused(self, instance, monkeypatch):
        monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1_000_000)
        assert "unpacks to more than" in instance.refused(member("a.yml", b"0" * 2_000_000))
        monkeypatch.setattr(archives, "MAX_FILES", 5)
        many = archive({f"{i}.yml": "" for i in range(6)})
        assert "more than 5 files" in instance.refused(many)

    @pytest.mark.parametrize(
        "files, message",
        [
            ({"rules/rule.yml": "a: ["}, "rules/rule.yml: "),
            (one_rule(Severity=None), "rules/rule.yml: Missing key: 'Severity'"),
            (one_rule(Severity="Terrible"), "rules/rule.yml: "),
            (one_rule(Colour="red"), "Colour"),
            (one_rule(Filename="other.py"), "Filename: other.py is not in the archive"),
            (one_rule(Filename="../../../../etc/passwd"), "is outside the archive"),
            (one_rule(LogTypes=["nonsense"]), "LogTypes: nonsense is not a known log type"),
            (one_rule("import no_such"), "rules/rule.yml: Filename: import failed: Module"),
            (one_rule("x = 1"), "method named 'rule'"),
            (one_rule("raise SystemExit(3)"), "tried to end the process with status 3"),
            (one_rule("1 +"), "SyntaxError"),
            (
                one_rule(InlineFilters=[{"KeyPath": "a", "Condition": "Resembles", "Value": 1}]),
                "InlineFilters[0].Condition: 'Resembles'",
            ),
            (
                {**one_rule(), "rules/second.yml": yaml.safe_dump(RULE)},
                "Conflicting AnalysisID: [Test.Rule]",
            ),
            (
                {
                    "global_helpers/x.yml": yaml.safe_dump(
                        {"AnalysisType": "global", "GlobalID": "../../x", "Filename": "x.py"}
                    ),
                    "global_helpers/x.py": "",
                },
                "GlobalID: ../../x cannot be imported",
            ),
        ],
    )
    def test_invalid_items_are_refused(self, instance, files, message):
        assert message in instance.refused(archive(files))

    def test_a_correlation_rule_that_names_an_unknown_rule_is_refused(self, instance):
        files = {n: t for n, t in repo_files().items() if "aws_iam_list_roles" not in n}
        found = instance.refused(archive(files))
        assert "correlation_rules/aws_list_roles_with" in found
        assert "rule AWS.CloudTrail.IAMListRoles is not in this content" in found

    def test_a_second_enabled_data_model_of_a_log_type_is_refused(self, instance):
        model = {
            "AnalysisType": "datamodel",
            "Enabled": True,
            "LogTypes": ["AWS.CloudTrail"],
            "Mappings": [{"Name": "x", "Path": "y"}],
        }
        first, second = (yaml.safe_dump(model | {"DataModelID": name}) for name in ("One", "Two"))
        assert instance.upload(archive({"data_models/a.yml": first}))["error"] is None
        found = instance.refused(archive({"data_models/b.yml": second}))
        assert "data_models/b.yml: LogTypes: AWS.CloudTrail already has" in found

    def test_an_id_that_exists_as_another_kind_is_refused(self, instance):
        instance.upload(archive(one_rule()))
        found = instance.refused(archive({"queries/own.yml": query("Test.Rule")}))
        message = "Test.Rule: is stored as a rule, not as a saved_query"
        assert f"queries/own.yml: {message}" in found

    def test_a_body_that_loops_forever_is_refused(self, instance, monkeypatch):
        monkeypatch.setattr(checker, "CHECK_SECONDS", 4)
        assert "does a body loop" in instance.refused(archive(one_rule("while True: pass")))

    def test_a_body_that_uses_up_all_memory_is_refused(self, instance):
        assert instance.refused(archive(one_rule("x = bytearray(10**11)")))

    def test_yaml_that_expands_without_end_is_refused(self, instance):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
        text = yaml.safe_dump(RULE) + "\n".join(lines)
        found = instance.refused(archive(one_rule() | {"rules/rule.yml": text}))
        assert "rules/rule.yml: has too many values" in found

    def test_the_upload_after_a_refused_one_is_accepted(self, instance):
        instance.refused(archive(one_rule("raise SystemExit")))
        assert instance.upload(archive(one_rule()))["result"]["rules"]["new"] == 1

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_an_archive_with_changed_bytes_is_unpacked_only_into_its_folder(
        self, tmp_path_factory, data
    ):
        """Otherwise, unpacking fails with a message."""
        packed = bytearray(archive(one_rule()))
        for _ in range(data.draw(st.integers(1, 6))):
            packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
        import base64

        base = tmp_path_factory.mktemp("fuzz")
        folder = base / "inside"
        folder.mkdir()
        try:
            archives.unpack(base64.b64encode(bytes(packed)).decode(), folder)
        except archives.ArchiveError as error:
            assert str(error)
        assert [path.name for path in base.iterdir()] == ["inside"]


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_file_names_of_items_are_safe_and_distinct(one, other):
    name = file_name(one)
    assert "/" not in name and "\0" not in name and not name.startswith(".") and len(name) < 200
    assert (file_name(one) == file_name(other)) == (one == other)
