"""`test`, `replay --strict`, `validate` and `upload` accept and refuse the same content."""

import base64
import subprocess
import sys

import pytest
import yaml

from local_panther.content.left_out import Reason
from local_panther.content.load import loaded_content
from local_panther.errors import ContentError
from local_panther.instance.store.library import Library
from local_panther.lake.preparing import empty_lake
from tests.builders.configurations import shipped
from tests.builders.content import write_lines, write_rules
from tests.builders.events import START, call
from tests.builders.replays import replayed
from tests.instance.conftest import archive

pytestmark = pytest.mark.process

CORRELATION = "correlation_rules/aws_list_roles_with_multiple_failed_role_attempts.yml"
SCHEDULED = "queries/aws_role_escalation_succeeded_query.yml"
SAVED = "queries/aws_console_switch_role_query.yml"
RULE = "rules/aws_cloudtrail_rules/aws_iam_list_roles.yml"
BROKEN = {
    "a step with an unknown rule": (
        CORRELATION,
        "AWS.CloudTrail.IAMListRoles",
        "AWS.CloudTrail.ListRolez",
    ),
    "invalid SQL in a scheduled query": (SCHEDULED, "SELECT", "SELEC"),
    "an unknown column in a scheduled query": (SCHEDULED, "{{ role_calls", "{{ role_callz"),
    "invalid SQL in a saved query": (SAVED, "SELECT", "SELEC"),
    "an unknown column in a saved query": (SAVED, "additionalEventData", "additionalEventDate"),
    "a mistyped table in a saved query": (SAVED, "aws_cloudtrail", "aws_cloudtrial"),
    "two tests of one name": (RULE, None, None),
    "an invalid KeyPath": (
        RULE,
        "Tests:",
        "InlineFilters: [{KeyPath: a-b, Condition: Equals, Value: x}]\nTests:",
    ),
}


def broken(folder, path, old, new) -> None:
    file = folder / path
    text = file.read_text()
    if old is None:
        spec = yaml.safe_load(text)
        spec["Tests"].append(spec["Tests"][0])
        file.write_text(yaml.safe_dump(spec, sort_keys=False))
    else:
        assert old in text
        file.write_text(text.replace(old, new))


def archived(folder) -> str:
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".py", ".yml") and "__pycache__" not in path.parts
    }
    return base64.b64encode(archive(files)).decode()


@pytest.mark.parametrize(("path", "old", "new"), BROKEN.values(), ids=BROKEN)
def test_content_refused_by_one_command_is_refused_by_all(tmp_path, content_copy, path, old, new):
    shipped(content_copy)
    broken(content_copy, path, old, new)
    command = [sys.executable, "-m", "local_panther", "test", "--show-failures-only"]
    done = subprocess.run(command, cwd=content_copy, capture_output=True, text=True)
    assert done.returncode == 1 and path in done.stdout + done.stderr, done.stderr
    with (
        pytest.raises(ContentError, match=path),
        loaded_content(content_copy, strict=True, checks=empty_lake),
    ):
        pass
    library = Library(tmp_path / "state")
    try:
        for store in (False, True):
            problems = library.upload(archived(content_copy), store=store).problems
            assert problems and problems[0].where == path
        assert not library.items
    finally:
        library.close()


YES = """
    from {} import yes
    def rule(event):
        return yes
"""


def helper(folder, name) -> None:
    folder.mkdir(parents=True)
    spec = {"AnalysisType": "global", "GlobalID": name, "Filename": f"{name}.py"}
    (folder / f"{name}.yml").write_text(yaml.safe_dump(spec))
    (folder / f"{name}.py").write_text("yes = True\n")


def trail(folder, *names):
    records = [call(name, time=START + i, eventID=str(i)) for i, name in enumerate(names)]
    return write_lines(folder / "trail.jsonl", records)


@pytest.mark.parametrize(
    "where", ["content/global_helpers/team/deep", "global_helpers", "global_helpers/x"]
)
def test_helpers_are_found_in_the_same_folders_as_by_the_tool(tmp_path, where):
    content = write_rules(tmp_path / "content", a=YES.format("my_helper"))
    helper(tmp_path / where, "my_helper")
    outcome = replayed(trail(tmp_path, "x"), content=content)
    assert outcome.complete and outcome.signals["Test.a"] == 1


def test_a_helper_inside_the_content_wins_over_one_above_it(tmp_path):
    content = write_rules(tmp_path / "content", a=YES.format("my_helper"))
    helper(content / "global_helpers", "my_helper")
    helper(tmp_path / "global_helpers", "my_helper")
    (tmp_path / "global_helpers" / "my_helper.py").write_text("yes = False\n")
    outcome = replayed(trail(tmp_path, "x"), content=content)
    assert outcome.complete and outcome.signals["Test.a"] == 1


@pytest.mark.parametrize("status", ["Experimental", "deprecated", "DEPRECATED"])
def test_items_excluded_from_uploads_by_status_are_counted_and_not_run(tmp_path, status):
    body = "def rule(event):\n    return True\n"
    content = write_rules(tmp_path / "content", a=body, b=body)
    file = content / "rules" / "b.yml"
    file.write_text(file.read_text() + f"Status: {status}\n")
    path = trail(tmp_path, "x")
    outcome = replayed(path, content=content)
    assert outcome.signals == {"Test.a": 1} and outcome.complete
    assert outcome.content.ids_left_out(Reason.STATUS) == ["Test.b"]
    everything = replayed(path, content=content, include_disabled=True)
    assert everything.signals == {"Test.a": 1, "Test.b": 1}


def test_items_in_folders_that_are_not_read_are_counted(tmp_path):
    body = "def rule(event):\n    return True\n"
    content = write_rules(tmp_path / "content", a=body)
    write_rules(content / "detections_as_code", b=body)
    (content / "detections_as_code/rules").rename(content / "detections")
    (content / "detections/ordinary.yml").write_text("a: AnalysisType\n")
    (content / "detections/pack.yml").write_text("AnalysisType: pack\nPackID: x\n")
    outcome = replayed(trail(tmp_path, "x"), content=content)
    assert outcome.complete and outcome.content.unread == ["detections/b.yml"]


def test_a_query_in_another_language_is_counted_and_named(tmp_path):
    content = write_rules(tmp_path / "content", a="def rule(event):\n    return True\n")
    (content / "queries").mkdir()
    query = {"AnalysisType": "saved_query", "QueryName": "Mine", "AthenaQuery": "SELECT 1"}
    (content / "queries" / "mine.yml").write_text(yaml.safe_dump(query))
    outcome = replayed(trail(tmp_path, "x"), content=content)
    assert outcome.content.ids_left_out(Reason.LANGUAGE) == ["Mine"]
    command = [sys.executable, "-m", "local_panther", "query", "--content", content]
    listed = subprocess.run(command, capture_output=True, text=True).stdout
    assert "Mine" in listed and "has only AthenaQuery" in listed
