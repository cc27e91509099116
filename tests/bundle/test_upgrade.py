"""Upgrades: changes of a newer version, of the user, and of both."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.bundle.manifest import NAME, WITHOUT_MANIFEST, Manifest, read_manifest
from local_panther.bundle.merging import merged
from local_panther.bundle.plan import Kind, Wishes, planned
from local_panther.bundle.writing import WORK, finish, write
from local_panther.errors import ContentError
from tests.builders.events import REPO
from tests.bundle.test_init import SETTINGS, contents
from tests.cli.test_command_line import COMMAND, run
from tests.scale import examples

pytestmark = pytest.mark.process

CONFIG = "global_helpers/aws_role_escalation_config.py"
EDITED = "queries/aws_role_session_activity_query.yml"
DELETED = "queries/aws_console_switch_role_query.yml"
OWN_ROLE = "arn:aws:iam::111122223333:role/BreakGlass"
SCANNER = "arn:aws:iam::*:role/InventoryScannerRole"
RULE, QUERY = "rules/a/thing.yml", "queries/thing.yml"
OLD = {
    "global_helpers/my_config.py": '"""Settings."""\n\nLIMIT = 10\nNAMES: list[str] = []\n',
    RULE: "AnalysisType: rule\nRuleID: A.Thing\nEnabled: false # until set\nSeverity: Low\n"
    "InlineFilters:\n  - KeyPath: a\n    Condition: Exists\nRunbook: |\n  one\n  two\n  three\n",
    QUERY: "AnalysisType: saved_query\nQueryName: Thing\nQuery: |\n"
    "  SELECT\n    10 AS most, -- must equal my_config.LIMIT\n    1\n",
}


def install(folder: Path, files: dict[str, bytes | str], version: str = "1.0") -> None:
    """Write the files of a version into a folder, as `init` does."""
    new = shipped(files, version)
    write(planned(new, folder, read_manifest(folder)).changes, folder)


def shipped(files: dict[str, bytes | str], version: str = "2.0") -> Manifest:
    data = {k: text.encode() if isinstance(text, str) else text for k, text in files.items()}
    return Manifest(version, data)


def upgraded(folder: Path, files: dict[str, str], **wishes) -> dict[str, Kind]:
    plan = planned(shipped(files), folder, read_manifest(folder), Wishes(**wishes))
    write(plan.changes, folder)
    return {step.path: step.kind for step in plan.steps}


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with version 1.0 of three files."""
    install(tmp_path / "repository", OLD)
    return tmp_path / "repository"


@pytest.fixture
def configured(tmp_path) -> Path:
    """Version 0.1.0 of the detections, which left no manifest, with a user's configuration."""
    folder = tmp_path / "configured"
    assert json.loads(WITHOUT_MANIFEST.read_text())["version"] == "0.1.0"
    shutil.copy(WITHOUT_MANIFEST, tmp_path / NAME)
    for path, data in read_manifest(tmp_path).files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    edit(
        folder / CONFIG,
        ("THRESHOLD = 10", "THRESHOLD = 6"),
        ("EXPECTED_PRINCIPALS: list[str] = []", f'EXPECTED_PRINCIPALS: list[str] = ["{SCANNER}"]'),
    )
    for path in (folder / "queries").glob("*.yml"):
        path.write_text(path.read_text().replace("10 AS threshold", "6 AS threshold"))
    entry = "      - arn:aws:iam::123456789012:role/FullAdminRole\n"
    blocklist = (folder / SETTINGS).read_text()
    place = blocklist.rindex(entry, 0, blocklist.index("DedupPeriodMinutes")) + len(entry)
    blocklist = f"{blocklist[:place]}      - {OWN_ROLE}\n{blocklist[place:]}"
    (folder / SETTINGS).write_text(blocklist.replace("Enabled: false", "Enabled: true"))
    edit(folder / EDITED, ("Tags:\n", "Tags:\n  - Ours\n"))
    (folder / DELETED).unlink()
    return folder


def test_a_configured_copy_of_the_first_version_keeps_settings_and_gets_the_rest(configured):
    status, out, err = run("init", configured)
    assert status == 0, out + err
    assert re.search(r"^0\.1\.0 to \d\S*: .*1 deleted", out, re.MULTILINE)
    config = (configured / CONFIG).read_text()
    assert "\nTHRESHOLD = 6\n" in config and SCANNER in config and "HISTORY_HOURS" in config
    assert f"      - {OWN_ROLE}\n" in (configured / SETTINGS).read_text()
    assert "\nEnabled: true" in (configured / SETTINGS).read_text()
    assert "  - Ours\n" in (configured / EDITED).read_text()
    assert not (configured / DELETED).exists()
    touched = {CONFIG, SETTINGS, EDITED, DELETED, "queries/aws_role_macros.yml"}
    for path in sorted(contents(configured).keys() - touched):
        new = (
            (REPO / path).read_text().replace("10 AS threshold, -- must", "6 AS threshold, -- must")
        )
        assert (configured / path).read_text() == new, path
    status, out, err = run("test", cwd=configured)
    assert status == 0, out + err
    assert run("init", configured)[::2] == (0, "")


def test_settings_are_kept_in_files_that_the_new_version_changes(repository):
    edit(repository / "global_helpers/my_config.py", ("LIMIT = 10", "LIMIT = 4"))
    edit(repository / QUERY, ("10 AS most", "4 AS most"))
    edit(
        repository / RULE,
        ("Enabled: false # until set", "Enabled: true"),
        ("Exists", "DoesNotExist"),
    )
    new = OLD | {
        "global_helpers/my_config.py": '"""Now."""\n\n# Each.\nLIMIT = 12 # more\nNAMES = []\n',
        RULE: OLD[RULE]
        .replace("Severity: Low", "Severity: High")
        .replace("until set", "until then"),
        QUERY: OLD[QUERY].replace("SELECT", "SELECT 2,").replace("10 AS", "12 AS"),
    }
    assert set(upgraded(repository, new).values()) == {Kind.UPDATED}
    config = (repository / "global_helpers/my_config.py").read_text()
    assert config == '"""Now."""\n\n# Each.\nLIMIT = 4 # more\nNAMES = []\n'
    assert (repository / QUERY).read_text() == new[QUERY].replace("12 AS", "4 AS")
    rule = new[RULE].replace("Enabled: false # until then", "Enabled: true")
    assert (repository / RULE).read_text() == rule.replace("Exists", "DoesNotExist")


def test_a_new_default_applies_unless_the_user_changed_it_and_is_noted_then(repository):
    new = OLD | {RULE: OLD[RULE].replace("Severity: Low", "Severity: High")}
    plan = planned(shipped(new), repository, read_manifest(repository))
    assert {step.kind for step in plan.steps if step.path == RULE} == {Kind.UPDATED}
    edit(repository / RULE, ("Severity: Low", "Severity: Info"))
    (step,) = (
        step
        for step in planned(shipped(new), repository, read_manifest(repository)).steps
        if step.path == RULE
    )
    assert step.kind is Kind.KEPT
    assert step.notes == ("with your Severity", "the new default of Severity is High")


def test_both_sides_of_a_text_are_merged(repository):
    edit(repository / RULE, ("  one\n", "  one, ours\n"))
    new = OLD | {RULE: OLD[RULE].replace("  three\n", "  three, theirs\n")}
    assert upgraded(repository, new)[RULE] is Kind.MERGED
    assert (repository / RULE).read_text() == new[RULE].replace("  one\n", "  one, ours\n")


def test_changes_of_the_user_alone_are_kept(repository):
    edit(repository / RULE, ("  one\n", "  one, ours\n"))
    assert upgraded(repository, OLD)[RULE] is Kind.KEPT
    assert "one, ours" in (repository / RULE).read_text()


def test_a_conflict_writes_nothing_without_mark_conflicts(tmp_path, configured):
    query = "queries/aws_role_attempts_tuning_query.yml"
    edit(configured / query, ("Description: >", "Description: > # ours"))
    edit(configured / query, ("SnowflakeQuery: |\n", "SnowflakeQuery: |\n  -- ours\n"))
    text = (configured / query).read_text().replace("WITH ", "WITH ours AS (SELECT 1), ")
    (configured / query).write_text(text)
    before = contents(configured)
    status, out, err = run("init", configured)
    assert status == 1 and f"conflict {query}" in out
    assert f"--skip {query}" in err and "--mark-conflicts" in err
    assert contents(configured) == before and not (configured / NAME).exists()
    status, _, err = run("init", configured, "--mark-conflicts")
    assert status == 1 and f"resolve the conflicts between <<<<<<< and >>>>>>> in {query}" in err
    text = (configured / query).read_text()
    assert "<<<<<<< yours\n" in text and re.search(r"^>>>>>>> \d", text, re.MULTILINE)


def test_files_that_a_version_drops_are_removed_unless_they_were_changed(repository):
    new = {path: text for path, text in OLD.items() if path != QUERY}
    edit(repository / RULE, ("one", "ours"))
    del new[RULE]
    kinds = upgraded(repository, new)
    assert kinds[QUERY] is Kind.REMOVED and not (repository / QUERY).exists()
    assert kinds[RULE] is Kind.KEPT and (repository / RULE).exists()


def test_a_renamed_file_is_followed_with_what_the_user_changed(repository):
    edit(repository / QUERY, ("    1\n", "    1, 'ours'\n"))
    new = {path: text for path, text in OLD.items() if path != QUERY}
    new["queries/renamed.yml"] = OLD[QUERY].replace("Query: |", "Description: New\nQuery: |")
    kinds = upgraded(repository, new)
    assert kinds["queries/renamed.yml"] is Kind.MERGED and kinds[QUERY] is Kind.REMOVED
    text = (repository / "queries/renamed.yml").read_text()
    assert "'ours'" in text and "Description: New" in text and not (repository / QUERY).exists()


def test_a_renamed_file_that_was_not_changed_is_moved(repository):
    new = {path: text for path, text in OLD.items() if path != QUERY}
    new["queries/renamed.yml"] = OLD[QUERY]
    upgraded(repository, new)
    assert (repository / "queries/renamed.yml").read_text() == OLD[QUERY]
    assert not (repository / QUERY).exists()


def test_a_file_that_the_user_moved_is_upgraded_where_it_is(repository):
    (repository / "rules/mine").mkdir()
    (repository / RULE).rename(repository / "rules/mine/moved.yml")
    new = OLD | {RULE: OLD[RULE].replace("three", "three, theirs")}
    upgraded(repository, new)
    assert (repository / "rules/mine/moved.yml").read_text() == new[RULE]
    assert not (repository / RULE).exists()


def test_a_deleted_file_stays_deleted_over_versions(repository):
    (repository / QUERY).unlink()
    assert upgraded(repository, OLD)[QUERY] is Kind.DELETED
    new = OLD | {QUERY: OLD[QUERY] + "  -- new\n"}
    assert upgraded(repository, new)[QUERY] is Kind.DELETED and not (repository / QUERY).exists()
    assert upgraded(repository, new, overwrite=True)[QUERY] is Kind.NEW


def test_a_skipped_file_is_merged_with_the_right_base_later(repository):
    new = OLD | {RULE: OLD[RULE].replace("three", "three, theirs")}
    edit(repository / RULE, ("  one\n", "  one, ours\n"))
    assert upgraded(repository, new, wants=lambda path: path != RULE)[RULE] is Kind.SKIPPED
    assert "theirs" not in (repository / RULE).read_text()
    assert upgraded(repository, new)[RULE] is Kind.MERGED
    assert (
        "one, ours" in (repository / RULE).read_text()
        and "theirs" in (repository / RULE).read_text()
    )


def test_a_new_query_has_the_settings_of_the_user(repository):
    edit(repository / "global_helpers/my_config.py", ("LIMIT = 10", "LIMIT = 4"))
    edit(repository / QUERY, ("10 AS most", "4 AS most"))
    other = OLD[QUERY].replace("Thing", "Other")
    upgraded(repository, OLD | {"queries/other.yml": other})
    assert (repository / "queries/other.yml").read_text() == other.replace(
        "10 AS most", "4 AS most"
    )


def test_line_ends_of_windows_are_kept_and_are_not_a_change(repository):
    for path in OLD:
        (repository / path).write_bytes((repository / path).read_bytes().replace(b"\n", b"\r\n"))
    edited = (repository / RULE).read_bytes().replace(b"  one", b"  one, ours")
    (repository / RULE).write_bytes(edited)
    new = OLD | {RULE: OLD[RULE].replace("three", "three, theirs")}
    upgraded(repository, new)
    assert (repository / RULE).read_bytes() == edited.replace(b"three", b"three, theirs")
    assert (repository / QUERY).read_bytes() == OLD[QUERY].replace("\n", "\r\n").encode()


def test_the_base_of_an_unrecorded_version_can_be_given(configured, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(configured, older)
    edit(configured / CONFIG, ("THRESHOLD = 6", "THRESHOLD = 8"))
    status, out, err = run("init", configured, "--base", older, "--dry-run")
    assert status == 0, err
    assert f"updated  {CONFIG}; with your THRESHOLD; the new default of THRESHOLD is" in out


def test_an_older_version_does_not_replace_a_newer_one(repository):
    manifest = read_manifest(repository)
    (repository / NAME).write_bytes(Manifest("999.0", manifest.files).to_bytes())
    status, _, err = run("init", repository)
    assert status == 2 and "upgrade local-panther" in err


@pytest.mark.parametrize("text", ["", "{}", '{"version": "1", "files": {"a": {"sha256": ""}}}'])
def test_a_damaged_manifest_is_an_error_with_its_place(repository, text):
    (repository / NAME).write_text(text)
    before = contents(repository)
    status, _, err = run("init", repository)
    assert (
        status == 2 and f"{repository / NAME}: is damaged" in err and contents(repository) == before
    )
    with pytest.raises(ContentError):
        read_manifest(repository)


LINES = st.lists(st.sampled_from(["a", "b", "c", "LIMIT = 1", "Enabled: true"]), max_size=12).map(
    lambda lines: "".join(f"{line}\n" for line in lines).encode()
)


@given(base=LINES, other=LINES, path=st.sampled_from(["a.py", "a.yml"]))
def test_a_merge_with_changes_of_one_side_gives_that_side(base, other, path):
    assert merged(path, other, base, base, ("1", "2")).text == other
    assert merged(path, base, base, other, ("1", "2")).text == other
    assert merged(path, other, base, base, ("1", "2")).conflicts == 0


KILLED = """
import os, signal, sys
from pathlib import Path
moment, replace = int(sys.argv.pop(1)), Path.replace
def killed(path, target):
    global moment
    if moment == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    moment -= 1
    return replace(path, target)
Path.replace = killed
from local_panther.cli import main
main()
"""


@pytest.mark.parametrize("moment", [0, 1, 2, 15, 25])
def test_an_upgrade_killed_between_two_files_is_completed_by_the_next_run(
    configured, tmp_path, moment
):
    whole = tmp_path / "whole"
    shutil.copytree(configured, whole)
    assert run("init", whole)[0] == 0
    before = contents(configured)
    command = [sys.executable, "-c", KILLED, str(moment), "init", configured]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    was_committed = finish(configured)
    assert was_committed == (moment > 0) and not (configured / WORK).exists()
    assert contents(configured) == (contents(whole) if was_committed else before)
    assert run("init", configured)[0] == 0 and contents(configured) == contents(whole)


@pytest.mark.attack("kills")
def test_kills_at_random_moments_leave_the_old_or_the_new_state(
    configured, tmp_path, record_property
):
    whole = tmp_path / "whole"
    shutil.copytree(configured, whole)
    begun = time.monotonic()
    assert run("init", whole)[0] == 0
    takes = time.monotonic() - begun
    states = contents(configured), contents(whole)
    record_property("tried", tries := examples(10, 200))
    for number in range(tries):
        copy = tmp_path / str(number)
        shutil.copytree(configured, copy)
        process = subprocess.Popen(
            [COMMAND, "init", copy], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        time.sleep(random.uniform(0.3, 1) * takes)
        process.kill()
        process.wait()
        was_committed = finish(copy)
        assert contents(copy) in states
        if number % 10 == 0:  # the next run succeeds without help
            assert run("init", copy)[0] == 0 and contents(copy) == states[1], was_committed
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    "journal",
    [
        [["../outside", None]],
        [["../outside", "0"]],
        [["rules/../../outside", None]],
        [["rules/x.py", "../../outside"]],
        [["link/outside", None]],
        {"rules/x.py": "0"},
        [None],
        "text",
    ],
)
def test_a_journal_in_a_cloned_repository_cannot_leave_the_folder(tmp_path, journal):
    (tmp_path / "outside").write_text("not of the repository")
    folder = tmp_path / "repository"
    (folder / WORK).mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (folder / WORK / "0").write_text("theirs")
    (folder / WORK / "journal.json").write_text(json.dumps(journal))
    status, _, err = run("init", folder)
    assert status == 2 and "journal.json" in err and f"remove {folder / WORK}" in err
    assert (tmp_path / "outside").read_text() == "not of the repository"
    assert not (folder / "rules").exists()


def test_an_invalid_journal_is_an_error(tmp_path):
    (tmp_path / WORK).mkdir()
    (tmp_path / WORK / "journal.json").write_bytes(b"\xff{")
    with pytest.raises(OSError, match="is damaged"):
        finish(tmp_path)
