"""The unmodified panther_analysis_tool against a running instance."""

import pytest

from local_panther.instance.store.index import stored_content
from tests.builders.content import write_rules
from tests.builders.replays import replayed, search_alerts, simulated
from tests.instance.commands import tool_for

pytestmark = pytest.mark.process


def test_content_is_validated_uploaded_replayed_and_deleted(instance, content_copy, tmp_path):
    tool = tool_for(instance, content_copy)
    status, out = tool("check-connection")
    assert status == 0 and "connection successful" in out

    status, out = tool("validate")
    assert status == 0 and "Validation success" in out

    status, out = tool("upload")
    assert status == 0 and "Upload succeeded" in out
    assert "Skipped: 0" in out and "New: 5" in out and "Correlation Rules" in out

    status, out = tool("upload")
    assert status == 0 and "New: 0" in out and "Total: 5" in out and "New: 5" not in out

    content = stored_content(instance.state)
    for last in (False, True):  # by the streaming rule, and by the correlation rule
        trail = simulated(tmp_path / f"trail-{last}", discovery_last=last)
        (alert,) = search_alerts(replayed(trail, content=content))
        assert (alert.metadata.analysis_type == "correlation_rule") == last

    rule = "AWS.CloudTrail.IAMListRoles"
    status, out = tool("delete", "--no-confirm", "--analysis-id", rule)
    assert status == 0 and "1 detections" in out
    assert not (stored_content(instance.state) / "rules" / f"{rule}.yml").exists()


def test_a_problem_is_reported_with_file_and_field(instance, tmp_path):
    tool = tool_for(instance, write_rules(tmp_path / "content", a="import no_such_module\n"))
    for command in ("validate", "upload"):
        skip = ["--skip-tests"] if command == "upload" else []
        status, out = tool(command, *skip)
        assert status == 1 and not instance.files()
        assert "rules/a.yml" in out
        assert "Filename: import failed: ModuleNotFoundError" in out


def test_a_wrong_token_is_reported(instance, tmp_path):
    content = write_rules(tmp_path / "content", a="def rule(_):\n    return True\n")
    status, out = tool_for(instance, content)("upload", "--skip-tests", token="wrong")
    assert status == 1 and "token is missing or wrong" in out and not instance.files()
