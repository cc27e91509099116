"""`local-panther init`: the detections in other people's repositories, all of them or none."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from local_panther.bundle.files import bundled_files
from local_panther.bundle.manifest import NAME, Manifest
from local_panther.bundle.plan import planned
from local_panther.bundle.writing import WORK, write
from tests.builders.events import CONTENT_FOLDERS, REPO
from tests.cli.test_command_line import COMMAND, run

pytestmark = pytest.mark.process

RULE = "rules/aws_cloudtrail_rules/aws_iam_list_roles.py"
MODEL = "data_models/aws_cloudtrail_data_model.yml"
SETTINGS = "rules/aws_cloudtrail_rules/aws_iam_assume_role_blocklist_ignored.yml"


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder but the manifest."""
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != NAME)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def own(folder: Path, path: str, **spec) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(yaml.safe_dump(spec))


@pytest.fixture
def written(tmp_path) -> Path:
    status, out, err = run("init", tmp_path / "repository")
    assert status == 0, out + err
    return tmp_path / "repository"


def test_a_new_folder_gets_all_files_of_the_five_folders_and_no_other(written):
    files = [path for name in CONTENT_FOLDERS for path in (REPO / name).rglob("*.*")]
    wanted = [path for path in files if path.is_file() and path.parent.name != "__pycache__"]
    assert contents(written) == {str(path.relative_to(REPO)): path.read_bytes() for path in wanted}


def test_existing_files_are_not_written_again(written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    status, out, err = run("init", written)
    assert (status, err) == (0, "") and re.search(r": \d+ same$", out)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_files_of_others_are_replaced_only_with_overwrite(tmp_path):
    (tmp_path / SETTINGS).parent.mkdir(parents=True)
    (tmp_path / SETTINGS).write_text("mine\n")
    for option in ([], ["--dry-run"]):
        status, out, err = run("init", tmp_path, *option)
        assert status == 1 and "nothing was written: 1 of your files" in err
        assert f"--skip {SETTINGS}" in err and "--overwrite" in err
        assert f"differs  {SETTINGS}\n" in out and f"new      {RULE}\n" in out
        assert "-mine" not in out and re.search(r": \d+ new, 1 differs$", out)
        assert list(contents(tmp_path)) == [SETTINGS]
    assert re.search(r"^-mine\n\+AnalysisType", run("init", tmp_path, "--diff")[1], re.MULTILINE)


def test_a_file_that_was_skipped_once_is_left_alone_until_it_is_overwritten(tmp_path):
    (tmp_path / SETTINGS).parent.mkdir(parents=True)
    (tmp_path / SETTINGS).write_text("mine\n")
    assert run("init", tmp_path, "--skip", SETTINGS)[0] == 0
    status, out, err = run("init", tmp_path)
    assert (status, err) == (0, "") and f"skipped  {SETTINGS}; yours\n" in out
    assert (tmp_path / SETTINGS).read_text() == "mine\n"
    assert run("init", tmp_path, "--overwrite", "--only", SETTINGS)[0] == 0
    assert (tmp_path / SETTINGS).read_bytes() == (REPO / SETTINGS).read_bytes()


def test_only_what_is_asked_for_is_written(tmp_path):
    assert run("init", tmp_path, "--only", "queries", "--skip", "queries/*address*")[0] == 0
    wanted = {path for path in bundled_files() if path.startswith("queries/")}
    assert set(contents(tmp_path)) == {path for path in wanted if "address" not in path}
    assert run("init", tmp_path)[0] == 0
    assert set(contents(tmp_path)) == set(bundled_files())


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path):
    status, _, err = run("init", tmp_path, "--skip", "querys")
    assert status == 2 and "'querys' matches no file" in err and not contents(tmp_path)


@pytest.mark.parametrize("path", [MODEL, "data_models/mine.yaml"])
def test_another_data_model_for_cloudtrail_is_kept_in_place_of_ours(tmp_path, path):
    own(tmp_path, path, AnalysisType="datamodel", DataModelID="X", LogTypes=["AWS.CloudTrail"])
    before = contents(tmp_path)
    status, out, err = run("init", tmp_path)
    assert status == 0, err
    assert f"skipped  {MODEL}; the data model of AWS.CloudTrail exists already ({path})\n" in out
    models = {p: data for p, data in contents(tmp_path).items() if p.startswith("data_models/")}
    assert models == before
    assert run("init", tmp_path)[::2] == (0, "")


def test_overwrite_replaces_what_differs_and_keeps_everything_else(written):
    (written / SETTINGS).write_text("mine\n")
    (written / SETTINGS).chmod(0o640)
    (written / "rules/own.txt").write_text("kept")
    (written / RULE).unlink()
    status, out, _ = run("init", written, "--overwrite", "--diff")
    assert status == 0 and "\n-mine\n" in out
    assert (written / SETTINGS).read_bytes() == (REPO / SETTINGS).read_bytes()
    assert (written / SETTINGS).stat().st_mode & 0o777 == 0o640
    assert (written / "rules/own.txt").read_text() == "kept" and (written / RULE).exists()


def test_a_dry_run_writes_nothing(tmp_path):
    status, out, err = run("init", tmp_path / "new", "--dry-run")
    assert status == 0 and f"new      {RULE}" in out and err == ""
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    ("path", "spec", "name"),
    [
        (
            "rules/mine/list_roles.yml",
            {"AnalysisType": "rule", "RuleID": "AWS.CloudTrail.IAMListRoles"},
            "RuleID AWS.CloudTrail.IAMListRoles",
        ),
    ],
)
def test_an_item_in_a_file_of_another_name_is_an_error(tmp_path, option, path, spec, name):
    own(tmp_path, path, **spec)
    status, _, err = run("init", tmp_path, *option)
    assert status == 2 and f"{tmp_path / path}: has {name} already" in err and "--skip" in err
    assert list(contents(tmp_path)) == [path]


def test_unrelated_files_do_not_matter(tmp_path):
    for name, text in {"broken": "{", "list": "[1]", "other": "RuleID: [1]"}.items():
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / f"rules/{name}.yml").write_text(text)
    own(tmp_path, "data_models/off.yml", AnalysisType="datamodel", DataModelID="X", Enabled=False)
    (tmp_path / "rules/dangling.yml").symlink_to("nowhere")
    assert run("init", tmp_path)[0] == 0


@pytest.mark.parametrize("obstacle", ["file", "folder", "link out"])
def test_an_obstacle_is_named_and_nothing_is_written(tmp_path, obstacle):
    folder, outside = tmp_path / "repository", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    if obstacle == "file":
        (folder / "queries").write_text("")
    elif obstacle == "folder":
        (folder / RULE).mkdir(parents=True)
    else:
        (folder / "rules").symlink_to(outside)
    status, out, err = run("init", folder, "--overwrite")
    assert status == 2 and out == "" and "Traceback" not in err
    reasons = "is not a folder|exists already and is not a file|is a link out of"
    assert re.search(rf"{re.escape(str(folder))}.*: .*({reasons})", err)
    assert not contents(tmp_path / "repository") or obstacle == "file"
    assert not contents(outside)


def test_a_file_in_place_of_the_repository_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    status, out, err = run("init", tmp_path / "file")
    assert status == 2 and out == "" and re.search(r"'\S+/file' is a file", err)
    assert len(err.splitlines()) < 5


def test_a_full_disk_leaves_all_files_unchanged(written):
    for path in (RULE, SETTINGS):
        (written / path).write_text("mine")
    (written / "queries").rename(written / "moved")
    before = contents(written)
    limited = f"ulimit -f 4; exec {COMMAND} init {written} --overwrite"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True)
    assert done.returncode == 2 and "nothing was written" in done.stderr
    assert contents(written) == before and not (written / "queries").exists()


@pytest.mark.parametrize("moment", [0, 1, 17, 35])
def test_an_error_while_files_are_moved_undoes_the_earlier_moves(written, monkeypatch, moment):
    for path in bundled_files():
        (written / path).write_text("mine")
    (written / SETTINGS).unlink()
    before, replace, left = contents(written), Path.replace, [moment]
    plan = planned(Manifest("9", bundled_files()), written)

    def failing(path, target):
        left[0] -= 1
        if left[0] == -1:
            raise OSError(5, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="Input/output"):
        write(plan.changes, written)
    assert contents(written) == before and not (written / WORK).exists()


def test_a_replay_elsewhere_says_that_it_runs_these_detections(tmp_path):
    assert run("simulate", tmp_path / "t.jsonl")[0] == 0
    status, out, err = run("replay", tmp_path / "t.jsonl", cwd=tmp_path)
    assert status == 0 and "running the detections that come with local-panther" in err
    assert "1 incident (1 HIGH)" in out
