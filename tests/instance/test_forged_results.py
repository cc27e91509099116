"""Results of a check that uploaded code has written itself, and YAML that expands without end."""

import json
import time

import pytest
import yaml

from local_panther.instance.http.server import running
from tests.instance.conftest import TOKEN, Client, archive
from tests.instance.test_uploads import BODY, RULE, one_rule

pytestmark = [pytest.mark.attack("uploads"), pytest.mark.process]

QUERY = yaml.safe_dump({"AnalysisType": "saved_query", "QueryName": "q", "Query": "select 1"})
FORGE = """
import atexit, json, os, sys
result = sys.argv[4]
def forge():
    {action}
    os._exit(0)
atexit.register(forge)
def rule(event):
    return True
"""
ITEM = {"kind": "rule", "spec": "rules/Test.Rule.yml", "body": "rules/Test.Rule.py", "digest": "x"}


@pytest.fixture
def instance(tmp_path):
    """An instance that runs uploads without the box, so that only the guard limits them."""
    with running(tmp_path / "state", TOKEN, trust=True) as url:
        yield Client(url, tmp_path / "state")


def stored(instance) -> dict:
    return json.loads(instance.files()["state.json"])["items"]


def forged(action: str) -> bytes:
    return archive(one_rule(FORGE.format(action=action)))


def forged_result(**changes) -> bytes:
    result = {"problems": [], "items": {"Test.Rule": ITEM | changes}, "files": {}}
    return forged(f"open(result, 'w').write({json.dumps(result)!r})")


class TestForgedResults:
    """Results that uploaded code has written itself: no path in them is trusted."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"spec": "../../outside.yml"},
            {"spec": "/etc/hostname"},
            {"spec": "rules/../../outside.yml"},
            {"body": "../state.json"},
            {"body": "rules/.."},
            {"body": "rules/./Test.Rule.py"},
            {"body": "queries/Test.Rule.py"},
            {"spec": "rules/Test.Rule.py"},
            {"spec": "rules/a\0b.yml"},
            {"spec": ""},
            {"kind": "nonsense"},
            {"kind": "policy"},
            {"spec": 7},
            {"digest": []},
        ],
        ids=str,
    )
    def test_a_forged_result_with_invalid_fields_is_refused(self, instance, changes):
        assert instance.upload(archive({"queries/q.yml": QUERY}))["status"] == "COMPLETED"
        message = instance.refused(forged_result(**changes))
        assert "invalid result" in message or "the check failed" in message
        assert set(stored(instance)) == {"q"}

    def test_a_body_that_replaces_a_file_by_a_link_is_refused(self, instance, tmp_path):
        (tmp_path / "secret").write_text("a secret")
        action = (
            "path = os.path.join(sys.argv[3], 'rules', 'Test.Rule.py'); os.remove(path); "
            f"os.symlink({str(tmp_path / 'secret')!r}, path)"
        )
        assert "cannot be stored" in instance.refused(forged(action))

    def test_a_body_that_replaces_a_folder_by_a_link_is_refused(self, instance, tmp_path):
        (tmp_path / "rules").mkdir()
        action = (
            "import shutil; path = os.path.join(sys.argv[3], 'rules'); shutil.rmtree(path); "
            f"os.symlink({str(tmp_path / 'rules')!r}, path)"
        )
        assert "cannot be stored" in instance.refused(forged(action))

    @pytest.mark.parametrize("what", ["os.mkfifo(result)", "os.symlink('/dev/zero', result)"])
    def test_a_result_that_is_not_a_file_is_not_waited_for(self, instance, what):
        action = f"os.path.lexists(result) and os.remove(result); {what}"
        assert "the check failed" in instance.refused(forged(action))

    def test_a_body_cannot_change_other_stored_items(self, instance):
        """A body that changes and removes other items in the candidate."""
        body = BODY + "\n# the original\n"
        assert instance.upload(archive(one_rule(body)))["status"] == "COMPLETED"
        action = (
            "other = os.path.join(sys.argv[3], 'rules', 'Test.Rule.py'); "
            "open(other, 'w').write('# changed'); "
            "os.remove(other.replace('.py', '.yml'))"
        )
        files = one_rule(FORGE.format(action=action), RuleID="Other.Rule")
        instance.upload(archive(files))
        query = '{rulePythonBody(input: "Test.Rule") {pythonBody}}'
        assert instance.ask(query)["pythonBody"] == body


class TestMergeKeys:
    """YAML that is small once loaded, but expands exponentially while it is loaded."""

    def bomb(self) -> str:
        lines = ["a0: &a0 {x: 1, y: 2}"]
        lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
        return "\n".join(lines)

    def test_merge_keys_that_expand_without_end_are_refused_in_an_upload(self, instance):
        text = yaml.safe_dump(RULE) + self.bomb()
        found = instance.refused(archive(one_rule() | {"rules/rule.yml": text}))
        assert "rules/rule.yml: has too many values" in found

    def test_merge_keys_that_expand_without_end_are_refused_in_a_correlation_rule(self, instance):
        text = "mutation($i: TestCorrelationRuleYAMLInput!) "
        text += "{testCorrelationRuleYAML(input: $i) {results {name}}}"
        started = time.monotonic()
        (error,) = instance.send(text, i={"yaml": self.bomb()})["errors"]
        assert "has too many values" in error["message"]
        assert (
            time.monotonic() - started < 20
        )  # not a test of speed: without the limit it takes hours

    def test_deeply_nested_yaml_is_refused(self, instance):
        text = "mutation($i: TestCorrelationRuleYAMLInput!) "
        text += "{testCorrelationRuleYAML(input: $i) {results {name}}}"
        (error,) = instance.send(text, i={"yaml": "[" * 100_000})["errors"]
        assert "nested more than" in error["message"]

    def test_ordinary_merge_keys_are_loaded(self, instance):
        text = yaml.safe_dump({k: v for k, v in RULE.items() if k != "Severity"})
        text += "Tests:\n  - &t {Name: a, ExpectedResult: true, Log: {a: 1}}\n"
        text += "  - {<<: *t, Name: b}\nSeverity: Low\n"
        found = instance.upload(archive(one_rule() | {"rules/rule.yml": text}))
        assert found["status"] == "COMPLETED", found
