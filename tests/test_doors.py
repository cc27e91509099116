"""`test`, `replay --strict`, `validate` and `upload` accept and refuse the same content."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_panther.content.left_out import Reason
from local_panther.content.load import loaded_content
from local_panther.errors import ContentError
from local_panther.instance.store.library import Library
from local_panther.lake.preparing import empty_lake
from tests.builders.content import write_helper, write_lines, write_rules
from tests.builders.correlations import sequence
from tests.builders.events import START, call
from tests.builders.replays import replayed
from tests.instance.conftest import archive

pytestmark = pytest.mark.process

CORRELATION = "correlation_rules/chain.yml"
SCHEDULED = "queries/scheduled.yml"
SAVED = "queries/saved.yml"
RULE = "rules/a.yml"
BODY = "def rule(event):\n    return True\n"
TEST = {"Name": "one", "ExpectedResult": True, "Log": {"eventName": "ListRoles"}}
SQL = "SELECT {} FROM panther_logs.public.aws_cloudtrail WHERE eventName = 'ListRoles'"
BROKEN = {
    "a step with an unknown rule": (CORRELATION, "Test.a", "Test.z"),
    "invalid SQL in a scheduled query": (SCHEDULED, "SELECT", "SELEC"),
    "an unknown macro in a scheduled query": (SCHEDULED, "{{ failed", "{{ failex"),
    "an unknown column in a scheduled query": (SCHEDULED, "eventID", "eventIDs"),
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
MACROS = "-- pragma: template\n{% macro failed() export %}errorCode IS NOT NULL{% endmacro %}\n"
TEMPLATE = "-- pragma: template\n{% import 'Macros' failed %}\n"


def small_content(folder: Path) -> Path:
    """Write a valid repository of rules, a correlation, macros, and queries of both kinds."""
    write_rules(folder, a=BODY, b=BODY)
    rule = folder / RULE
    rule.write_text(rule.read_text() + yaml.safe_dump({"Tests": [TEST]}))
    chain = sequence({"ID": "a", "RuleID": "Test.a"}, {"ID": "b", "RuleID": "Test.b"})
    schedule = {"RateMinutes": 60, "TimeoutMinutes": 5}
    saved = {"AnalysisType": "saved_query"}
    scheduled = {"AnalysisType": "scheduled_query", "Enabled": True, "Schedule": schedule}
    queries = {
        "queries/macros.yml": saved | {"QueryName": "Macros", "Query": MACROS},
        SAVED: saved | {"QueryName": "Saved", "Query": SQL.format("additionalEventData")},
        SCHEDULED: scheduled
        | {
            "QueryName": "Scheduled",
            "Query": f"{TEMPLATE}{SQL.format('eventID')} AND {{{{ failed() }}}}",
        },
    }
    for path, spec in {CORRELATION: chain, **queries}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(yaml.safe_dump(spec, sort_keys=False, width=1000))
    return folder


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
def test_content_refused_by_one_command_is_refused_by_all(tmp_path, path, old, new):
    content = small_content(tmp_path / "content")
    broken(content, path, old, new)
    command = [sys.executable, "-m", "local_panther", "test", "--show-failures-only"]
    done = subprocess.run(command, cwd=content, capture_output=True, text=True)
    assert done.returncode == 1 and path in done.stdout + done.stderr, done.stderr
    with (
        pytest.raises(ContentError, match=path),
        loaded_content(content, strict=True, checks=empty_lake),
    ):
        pass
    library = Library(tmp_path / "state")
    try:
        for store in (False, True):
            problems = library.upload(archived(content), store=store).problems
            assert problems and problems[0].where == path
        assert not library.items
    finally:
        library.close()


def test_content_accepted_by_one_command_is_accepted_by_all(tmp_path):
    """Without this, the content of the test above could be refused for another reason."""
    content = small_content(tmp_path / "content")
    command = [sys.executable, "-m", "local_panther", "test", "--show-failures-only"]
    done = subprocess.run(command, cwd=content, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with loaded_content(content, strict=True, checks=empty_lake):
        pass
    library = Library(tmp_path / "state")
    try:
        assert library.upload(archived(content)).problems == []
        assert len(library.items) == 6
    finally:
        library.close()


YES = """
    from {} import yes
    def rule(event):
        return yes
"""


def trail(folder, *names):
    records = [call(name, time=START + i, eventID=str(i)) for i, name in enumerate(names)]
    return write_lines(folder / "trail.jsonl", records)


@pytest.mark.parametrize(
    "where", ["content/global_helpers/team/deep", "global_helpers", "global_helpers/x"]
)
def test_helpers_are_found_in_the_same_folders_as_by_the_tool(tmp_path, where):
    content = write_rules(tmp_path / "content", a=YES.format("my_helper"))
    write_helper(tmp_path / where, "my_helper", "yes = True\n")
    outcome = replayed(trail(tmp_path, "x"), content=content)
    assert outcome.complete and outcome.signals["Test.a"] == 1


def test_a_helper_inside_the_content_wins_over_one_above_it(tmp_path):
    content = write_rules(tmp_path / "content", a=YES.format("my_helper"))
    write_helper(content / "global_helpers", "my_helper", "yes = True\n")
    write_helper(tmp_path / "global_helpers", "my_helper", "yes = False\n")
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
