"""Tests that cached verdicts are those that panther_analysis_tool gives."""

import copy
import io
import json
import logging
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext import parse
from panther_analysis_tool import analysis_utils

from local_panther import remembered
from local_panther.content.json_paths import json_path
from local_panther.content.tool import classify_analysis
from local_panther.remembered import verdicts
from tests.builders.events import REPO

RULE = {
    "AnalysisType": "rule",
    "RuleID": "A",
    "Enabled": True,
    "Filename": "a.py",
    "LogTypes": ["AWS.CloudTrail"],
    "Severity": "Low",
}
QUERY = {
    "AnalysisType": "scheduled_query",
    "QueryName": "Q",
    "Enabled": True,
    "Query": "SELECT * FROM nowhere.x",
    "Schedule": {"RateMinutes": 60, "TimeoutMinutes": 5},
}


def judged(spec: dict, *, ignore_tables: bool = True) -> tuple[int, list[str]]:
    """Return how many items are valid, and the errors of others."""
    items, invalid = classify_analysis(
        [("a.yml", ".", copy.deepcopy(spec), None)], ignore_tables, [], ignore_extra_keys=False
    )
    return len(list(items.items())), [f"{type(error).__name__}: {error}" for _, error in invalid]


def test_the_verdict_is_that_on_the_current_item():
    wrong = RULE | {"Severity": "Lo"}
    for _ in range(2):
        assert judged(RULE) == (1, [])
        count, (error,) = judged(wrong)
        assert count == 0 and "Severity" in error and judged(wrong) == (0, [error])


def test_items_that_differ_in_true_and_one_have_separate_verdicts():
    assert judged(RULE)[0] == 1 and judged(RULE | {"Enabled": 1})[0] == 0


def test_invalid_tables_and_log_lines_are_repeated_from_the_cache(caplog, monkeypatch):
    caplog.set_level(logging.WARNING, "sqlfluff")  # the tool sets the same level
    caplog.set_level(logging.INFO)
    unparsable = QUERY | {"QueryName": "R", "Query": "SELECT (a FROM b WHERE"}
    for spec in (QUERY, unparsable):
        caplog.clear()
        first = judged(spec, ignore_tables=False)
        lines = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr("sqlfluff.parse", lambda *_, **__: pytest.fail("parsed again"))
            assert judged(spec, ignore_tables=False) == first
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == lines
    assert lines and judged(QUERY, ignore_tables=False)[1]


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(YAML)
def test_yaml_is_read_as_the_tool_reads_it(value):
    import yaml

    text = yaml.safe_dump(value).encode()
    loader = analysis_utils._PyYAMLFastLoader()
    real = yaml.load(text, Loader=analysis_utils._PATSafeLoader)
    for _ in range(2):
        assert repr(loader.load(io.BytesIO(text))) == repr(real)


def test_a_yaml_alias_stays_one_object():
    text = b"a: &x {b: 1}\nc: *x\n"
    for _ in range(2):
        found = analysis_utils._PyYAMLFastLoader().load(io.BytesIO(text))
        assert found["a"] is found["c"]


def parsed(parse_path, path: str) -> str:
    """Return the parsed path, or the error."""
    try:
        return repr(parse_path(path))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


PART = st.sampled_from(
    [
        "a",
        "b_1",
        ".",
        ".",
        "..",
        "$",
        "$.",
        "*",
        "[0]",
        "'x y'",
        "where",
        "true",
        "5",
        " ",
        "[?(@.b)]",
    ]
)


@given(st.lists(PART, max_size=6).map("".join))
def test_a_json_path_is_parsed_as_by_jsonpath_ng(path):
    assert parsed(json_path, path) == parsed(parse, path)


@pytest.mark.parametrize(
    "path", ["a", "$", "$.a.b", "a.b[0].c", "$..x", "a[?(@.b == 'c')].d", "a["]
)
def test_a_path_of_a_data_model_is_parsed_as_by_jsonpath_ng(path):
    assert parsed(json_path, path) == parsed(parse, path)


def database() -> Path:
    return Path(os.environ["XDG_CACHE_HOME"]) / "local-panther" / "verdicts.sqlite"


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_cache_is_ignored(content):
    database().parent.mkdir(exist_ok=True, parents=True)
    for _ in range(2):
        database().write_bytes(content)
        assert judged(RULE) == (1, []) and judged(RULE | {"Severity": "Lo"})[0] == 0
        verdicts.flush()


def test_a_value_that_was_altered_is_not_used():
    verdicts.keep("test", {"text": "right"})
    verdicts.flush()
    assert verdicts.get("test", "text") == "right"
    import sqlite3

    with sqlite3.connect(database()) as connection:
        connection.execute("UPDATE remembered SET value = 'wrong'")
    assert verdicts.get("test", "text") is None and verdicts.get_all("test", ["text"]) == {}


def test_other_versions_have_other_verdicts(monkeypatch):
    verdicts.keep("test", {"text": "old"})
    verdicts.flush()
    monkeypatch.setattr(verdicts, "_versions", lambda: "other")
    assert verdicts.get("test", "text") is None


def test_a_change_of_any_code_that_caches_verdicts_invalidates_them():
    package = Path(remembered.__file__).parent
    keeping = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if "verdicts.keep(" in path.read_text()
    }
    assert keeping and keeping <= set(remembered.JUDGING_ROOMS)
    assert remembered.code_digest(*remembered.JUDGING_ROOMS) in remembered._judges()


def test_the_cache_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "local-panther"
    folder.mkdir(mode=0o755)
    (folder / "verdicts.sqlite").touch(mode=0o644)
    verdicts.keep("test", {"text": "x"})
    verdicts.flush()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "verdicts.sqlite").stat().st_mode) == 0o600


def test_the_cache_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    verdicts.keep("test", {"text": "theirs"})
    verdicts.flush()
    monkeypatch.setattr(remembered.os, "geteuid", lambda: 12345)
    verdicts._local.opened = None
    assert verdicts.get("test", "text") is None


@pytest.mark.process
@pytest.mark.parametrize("root", [REPO, os.environ.get("PANTHER_ANALYSIS", "")])
def test_verdicts_on_a_repository_are_the_tools_own(root, tmp_path, monkeypatch):
    if not root:
        pytest.skip("PANTHER_ANALYSIS does not name a checkout of panther-analysis")
    found = {}
    program = (
        "import json, sys, logging; logging.basicConfig(level=logging.INFO)\n"
        "from panther_analysis_tool import analysis_utils\n"
        "if sys.argv[1] == 'ours': from local_panther.content import tool\n"
        "items, invalid = analysis_utils.load_analysis('.', False, [], [], False)\n"
        "print(json.dumps([[(i.file_name, repr(i.analysis_spec)) for i in items.items()],"
        " [(n, str(e)) for n, e in invalid]]))\n"
    )
    import subprocess
    import sys

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for run in ("real", "ours", "ours"):
        done = subprocess.run(
            [sys.executable, "-c", program, run],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout), done.stderr
        assert found.setdefault("first", result) == result, run
