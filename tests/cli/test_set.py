"""`local-panther set` and `test --fix`, run as users do."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_panther.content.agreements import Settings, check_agreements
from local_panther.content.following import Repository
from local_panther.errors import ContentError
from tests.builders.configurations import SETTINGS, shipped
from tests.builders.events import REPO

pytestmark = pytest.mark.process

CONFIG = "global_helpers/aws_role_escalation_config.py"
MACROS = "queries/aws_role_macros.yml"
COMMAND = Path(sys.executable).parent / "local-panther"


@pytest.fixture
def run(content_copy):
    """Return a function that runs a command line in a copy of the shipped content."""
    shipped(content_copy)

    def run(line, folder=content_copy):
        done = subprocess.run(
            [COMMAND, *shlex.split(line)[1:]], cwd=folder, capture_output=True, text=True
        )
        return done.returncode, done.stdout, " ".join(done.stderr.split())

    return run


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def differing(before, after):
    return {path for path in before | after if before.get(path) != after.get(path)}


def values(folder):
    found = Settings(folder)
    return lambda name: found.value("aws_role_escalation_config", name)


def test_a_threshold_changes_in_both_of_its_places(run, content_copy):
    before = files(content_copy)
    status, out, err = run("local-panther set THRESHOLD=5")
    assert status == 0 and err == "written: 2 files next: local-panther test"
    assert differing(before, files(content_copy)) == {CONFIG, MACROS}
    assert [line for line in out.splitlines() if re.match(r"[-+](?![-+])", line)] == [
        "-THRESHOLD = 10",
        "+THRESHOLD = 5",
        "-      10 AS threshold, -- must equal aws_role_escalation_config.THRESHOLD",
        "+      5 AS threshold, -- must equal aws_role_escalation_config.THRESHOLD",
    ]
    assert check_agreements(content_copy) == []
    message = "nothing to change: everything has these values already"
    assert run("local-panther set THRESHOLD=5") == (0, "", message)


def test_values_derived_from_a_setting_change_in_every_file(run, content_copy):
    before = files(content_copy)
    line = "local-panther set WINDOW_MINUTES=240 PERSON_ROLE_PREFIXES=SharedAdmin,Other.x"
    status, _, _ = run(f"{line} COLLAPSE_SESSIONS=false")
    assert status == 0 and check_agreements(content_copy) == []
    value = values(content_copy)
    assert value("PERSON_ROLE_PREFIXES") == ["SharedAdmin", "Other.x"]
    assert value("COLLAPSE_SESSIONS") is False
    macros = (content_copy / MACROS).read_text()
    assert "'SharedAdmin.*|Other[.]x.*' AS person_roles" in macros
    assert "FALSE AS collapse_sessions" in macros and "240 AS window_minutes" in macros
    succeeded = (content_copy / "queries/aws_role_escalation_succeeded_query.yml").read_text()
    assert 'role_calls("p_occurs_since(360 m)")' in succeeded
    assert len(differing(before, files(content_copy))) == 9


def test_an_at_least_value_is_kept_if_it_is_high_enough(run, content_copy):
    sidecar = content_copy / "rules/aws_cloudtrail_rules/aws_role_escalation_succeeded.yml"
    text = sidecar.read_text()
    sidecar.write_text(re.sub("DedupPeriodMinutes: [0-9]+", "DedupPeriodMinutes: 240", text))
    run("local-panther set WINDOW_MINUTES=90")
    assert "DedupPeriodMinutes: 240 #" in sidecar.read_text()  # 210 are needed
    run("local-panther set WINDOW_MINUTES=240")
    assert "DedupPeriodMinutes: 360 #" in sidecar.read_text()
    run("local-panther set WINDOW_MINUTES=60")
    assert "DedupPeriodMinutes: 180 #" in sidecar.read_text()  # exactly what is needed
    assert check_agreements(content_copy) == []


def test_a_dry_run_shows_the_same_and_writes_nothing(run, content_copy):
    before = files(content_copy)
    status, out, err = run("local-panther set THRESHOLD=5 --dry-run")
    assert status == 0 and "+THRESHOLD = 5" in out and err == ""
    assert files(content_copy) == before


def test_entries_are_added_to_a_list_and_removed_from_it(run, content_copy):
    scanner = "arn:aws:iam::*:role/InventoryScannerRole"
    run(f"local-panther set 'EXPECTED_PRINCIPALS+={scanner},identity-center:dana@example.com'")
    assert values(content_copy)("EXPECTED_PRINCIPALS") == [
        scanner,
        "identity-center:dana@example.com",
    ]
    run(f"local-panther set EXPECTED_PRINCIPALS-='{scanner}'")
    assert values(content_copy)("EXPECTED_PRINCIPALS") == ["identity-center:dana@example.com"]
    run("local-panther set EXPECTED_PRINCIPALS=")
    assert values(content_copy)("EXPECTED_PRINCIPALS") == []


def test_without_arguments_it_lists_what_can_be_set(run):
    status, out, _ = run("local-panther set")
    assert status == 0 and re.fullmatch(r"THRESHOLD=10 \S+_config\.py:\d+", out.splitlines()[0])
    names = [line.partition("=")[0] for line in out.splitlines()]
    assert names == [
        *("THRESHOLD", "WINDOW_MINUTES", "EXPECTED_PRINCIPALS", "PERSON_ROLE_PREFIXES"),
        *("COLLAPSE_SESSIONS", "FEW_NAMES", "WITHOUT_DISCOVERY", "LEAD_MINUTES"),
        *("SUCCESS_MINUTES", "HISTORY_HOURS", "PROPAGATION_MINUTES"),
    ]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("THRESHOL=5", "no setting THRESHOL; did you mean THRESHOLD? There are: THRESHOLD=10, W"),
        ("threshold=5", "there is no setting threshold; "),
        ("no_config.THRESHOLD=5", "no setting no_config.THRESHOLD; did you mean THRESHOLD?"),
        ("THRESHOLD=five", "THRESHOLD must be a whole number, not 'five'; it is now 10"),
        ("COLLAPSE_SESSIONS=0", "COLLAPSE_SESSIONS must be true or false, not '0'; it is now true"),
        (
            "LOOKBACK_MINUTES=5",
            "_config.py:LINE cannot be set: it is computed, assigned m",
        ),
        ("THRESHOLD", "'THRESHOLD' is not NAME=VALUE; write, for example, THRESHOLD=5"),
        ("THRESHOLD=5 THRESHOLD=6", "THRESHOLD is set twice"),
        ("THRESHOLD+=1", "+= is for lists, but THRESHOLD is a whole number: use ="),
        ("WINDOW_MINUTES=90 THRESHOLD=x", "THRESHOLD must be a whole number"),
    ],
)
def test_unusable_settings_are_refused_and_nothing_is_written(
    run, content_copy, arguments, message
):
    before = files(content_copy)
    settings = (content_copy / SETTINGS).read_text().splitlines()
    (line,) = (n for n, text in enumerate(settings, 1) if text.startswith("LOOKBACK_MINUTES ="))
    status, out, err = run(f"local-panther set {arguments}")
    assert status == 2 and out == "" and message.replace("LINE", str(line)) in err
    assert files(content_copy) == before


def test_a_file_that_cannot_be_written_leaves_all_of_them_as_they_were(run, content_copy):
    macros = content_copy / MACROS
    macros.write_text(macros.read_text() + "# a comment\n" * 2000)
    before = files(content_copy)
    command = 'ulimit -f 20; "$0" set THRESHOLD=5'  # KiB: the macros are too large to be written
    done = subprocess.run(
        ["bash", "-c", command, COMMAND], cwd=content_copy, capture_output=True, text=True
    )
    assert done.returncode == 2 and "File too large; nothing was written" in done.stderr
    assert files(content_copy) == before


def test_a_folder_without_content_and_uploads_are_refused(run, tmp_path):
    status, _, err = run("local-panther set THRESHOLD=5", tmp_path)
    assert status == 2 and "holds no Panther content" in err
    state = tmp_path / "state"
    serve = f'set -- {COMMAND} serve --port 0 --state {state}; timeout -s INT 5 "$@"'
    subprocess.run(["bash", "-c", serve], capture_output=True, cwd=tmp_path)
    status, _, err = run(f"local-panther set THRESHOLD=5 --content {state}")
    assert status == 2 and "holds" in err


def test_an_earlier_disagreement_is_kept_and_named(run, content_copy):
    macros = content_copy / MACROS
    macros.write_text(macros.read_text().replace("3 AS propagation", "4 AS propagation"))
    status, out, err = run("local-panther set THRESHOLD=5")
    assert status == 1 and "propagation" not in re.sub(r"(?m)^ .*", "", out)
    assert "4 must equal 3" in err and "local-panther test --fix corrects these" in err


class TestFix:
    def test_fix_corrects_values_and_then_tests(self, run, content_copy):
        config = content_copy / CONFIG
        config.write_text(config.read_text().replace("THRESHOLD = 10", "THRESHOLD = 6"))
        status, _, err = run("local-panther test --show-failures-only")
        assert status == 1 and "10 must equal 6" in err
        before = files(content_copy)
        status, out, err = run("local-panther test --fix --show-failures-only")
        assert status == 0 and "Failed: 0" in out and "must equal 6" not in err
        assert "- 10 AS threshold" in err and "+ 6 AS threshold" in err
        assert "written: 1 file" in err
        assert differing(before, files(content_copy)) == {MACROS}
        status, _, err = run("local-panther test --fix --show-failures-only")
        assert status == 0 and "--fix: nothing to change" in err

    def test_fix_names_values_without_a_setting(self, run, content_copy):
        macros = content_copy / MACROS
        macros.write_text(
            macros.read_text().replace("config.PROPAGATION_MINUTES", "config.NO_SUCH")
        )
        before = files(content_copy)
        status, _, err = run("local-panther test --fix --show-failures-only")
        assert status == 1 and "aws_role_escalation_config.py has no NO_SUCH" in err
        assert files(content_copy) == before


@pytest.fixture
def other(tmp_path):
    """A repository of somebody else."""
    folder = tmp_path / "other"
    for name, text in {
        "global_helpers/limits.py": "from base import FACTOR\nLIMIT = 4\nALL = LIMIT * FACTOR\n",
        "global_helpers/base.py": "FACTOR = 2\nNAME = 'x'\n",
        "global_helpers/more.py": "LIMIT = 1\nLONELY = 1\n",
        "rules/one.yml": "Threshold: 8 # must equal limits.ALL\n"
        'Title: "x" # must equal base.NAME\n',
        "queries/one.sql": "SELECT 8, '9 d' -- at least limits.ALL + 1\n",
        "queries/two.yml": "A: 1 # must equal more.LIMIT\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class TestAnyRepository:
    """Settings of repositories other than this one."""

    def changed(self, folder, *asked):
        texts = Repository(folder).changed(asked)
        for path, text in texts.items():
            (folder / path).write_text(text)
        return set(texts)

    def test_a_setting_of_another_module_is_followed_through_imports(self, other):
        names = {"global_helpers/base.py", "rules/one.yml", "queries/one.sql"}
        assert self.changed(other, "FACTOR=3") == names
        assert (other / "rules/one.yml").read_text().startswith("Threshold: 12 #")
        text = (other / "queries/one.sql").read_text()
        assert text == "SELECT 8, '13 d' -- at least limits.ALL + 1\n"

    def test_a_place_that_cannot_follow_is_named_and_nothing_changes(self, other):
        (other / "queries/one.sql").write_text("SELECT x -- must equal limits.ALL\n")
        with pytest.raises(ContentError) as raised:
            Repository(other).changed(["FACTOR=3"])
        (problem,) = raised.value.problems
        message = "cannot be changed: no value before the comment: must equal limits.ALL"
        assert (problem.where, problem.message) == ("queries/one.sql:1", message)

    def test_a_name_in_several_files_needs_its_file(self, other):
        (other / "queries/one.sql").unlink()
        with pytest.raises(LookupError, match=r"write more\.LIMIT or limits\.LIMIT"):
            Repository(other).changed(["LIMIT=5"])
        assert self.changed(other, "more.LIMIT=5") == {"global_helpers/more.py", "queries/two.yml"}
        assert self.changed(other, "LONELY=5") == {"global_helpers/more.py"}

    @pytest.mark.parametrize("name", ["plain", "it's", 'a "b"', "a\\b", "5 of them", "#x", "ü"])
    def test_a_text_is_quoted_for_its_file(self, other, name):
        (other / "queries/one.sql").write_text("SELECT 'x' -- must equal base.NAME\n")
        self.changed(other, f"NAME={name}")
        assert check_agreements(other) == []
        assert yaml.safe_load((other / "rules/one.yml").read_text())["Title"] == name
        quoted = name.replace("'", "''")
        assert (other / "queries/one.sql").read_text().startswith(f"SELECT '{quoted}' -- must")

    def test_invalid_python_matters_only_if_it_is_named(self, other):
        (other / "global_helpers/wrong.py").write_text("LIMIT = (\n")
        assert self.changed(other, "LONELY=7") == {"global_helpers/more.py"}
        for asked in ("wrong.LIMIT=1", "base.NAME=y"):
            (other / "global_helpers/base.py").write_text("NAME = (\n")
            with pytest.raises(ContentError, match="is not valid Python: '\\(' was never closed"):
                Repository(other).changed([asked])

    def test_a_repository_without_such_comments_says_so(self, other):
        for path in [*other.rglob("*.yml"), *other.rglob("*.sql")]:
            path.unlink()
        with pytest.raises(LookupError, match="no comment in YAML or SQL names a setting"):
            Repository(other).changed(["NONE=1"])


def test_this_repository_has_the_settings_that_its_page_lists():
    page = (REPO / "docs/configuration.md").read_text()
    for setting in Repository(REPO).settings():
        assert f"`{setting.name}`" in page, setting.name
