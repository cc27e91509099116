"""Uploads are refused as a whole, with file and field."""

import base64
import io
import stat
import zipfile

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.instance.check import checker
from local_panther.instance.store import archive as archives
from tests.instance.conftest import archive, repo_files
from tests.instance.test_uploads import RULE, one_rule, query

pytestmark = pytest.mark.process


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
        base = tmp_path_factory.mktemp("fuzz")
        folder = base / "inside"
        folder.mkdir()
        try:
            archives.unpack(base64.b64encode(bytes(packed)).decode(), folder)
        except archives.ArchiveError as error:
            assert str(error)
        assert [path.name for path in base.iterdir()] == ["inside"]
