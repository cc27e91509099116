"""Commands report content that an instance accepts but that cannot work as intended."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.configurations import shipped
from tests.builders.replays import simulated

pytestmark = pytest.mark.process

BLOCKLIST = "rules/aws_cloudtrail_rules/aws_iam_assume_role_blocklist_ignored.yml"
CONFIG = "global_helpers/aws_role_escalation_config.py"
ROLE = "arn:aws:iam::123456789012:role/FullAdminRole"
LIST = f"    Values:\n      - {ROLE}"


@pytest.fixture
def run(content_copy):
    shipped(content_copy)  # undo the settings of the repository's owner

    def run(*arguments, folder=content_copy):
        command = [sys.executable, "-m", "local_panther", *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "command", ["test", "test --path rules/aws_cloudtrail_rules", "replay {trail}"]
)
def test_entries_that_never_match_are_named_and_the_command_fails(
    run, content_copy, tmp_path, command
):
    trail = simulated(tmp_path / "trail", ordinary=10)
    arguments = command.format(trail=trail).split()
    assert run(*arguments)[0] == 0
    file = content_copy / BLOCKLIST
    entries = (
        "arn:aws:iam::*:role/Admin",
        "BreakGlass",
        "arn:aws:sts::123456789012:assumed-role/Admin/alice",
        "arn:aws:iam::12345678901:role/Admin",
        "arn:aws:ima::123456789012:role/Admin",
    )
    edit(file, LIST, LIST + "".join(f"\n      - {entry}" for entry in entries))
    code, output = run(*arguments)
    lines = file.read_text().splitlines()
    for entry in entries:
        number = lines.index(f"      - {entry}") + 1
        assert f"{BLOCKLIST}:{number}: " in output and entry in output
    assert code == 1 and "Condition: EndsWith" in output


def test_a_value_that_disagrees_with_its_setting_is_named(run, content_copy):
    text = (content_copy / CONFIG).read_text()
    start = text.index("\nTHRESHOLD = ") + 1
    number = text[:start].count("\n") + 1
    line = text[start:].splitlines()[0]
    edit(content_copy / CONFIG, line, "THRESHOLD = 99")
    code, output = run("test")
    was = line.rsplit(" ", 1)[-1]
    setting = f"aws_role_escalation_config.THRESHOLD in {CONFIG}:{number}"
    assert code == 1 and f"{was} must equal 99, which is {setting}" in output


def test_a_text_in_place_of_a_list_is_an_error(run, content_copy, tmp_path):
    edit(content_copy / BLOCKLIST, LIST, f"    Values: {ROLE}")
    for arguments in (["test"], ["replay", simulated(tmp_path / "trail", ordinary=10)]):
        code, output = run(*arguments, *["--include-disabled"] * (arguments[0] == "replay"))
        assert code != 0 and "IsIn needs a list under Values" in output


def test_another_folder_can_be_given_by_its_path(run, content_copy, tmp_path):
    edit(content_copy / BLOCKLIST, LIST, f"{LIST}\n      - BreakGlass")
    code, output = run("test", "--path", content_copy, folder=tmp_path)
    assert code == 1 and "'BreakGlass'" in output


MACROS = "queries/aws_role_macros.yml"
SUCCEEDED = "queries/aws_role_escalation_succeeded_query.yml"
MISSING = (
    "imports role_settings, role_calls, role_windows, role_bursts, role_discoveries, role_successes"
    " from the query"
)


def test_missing_macros_that_a_query_imports_are_named(run, content_copy, tmp_path):
    """The tool's own tests pass: it renders no template."""
    (content_copy / MACROS).unlink()
    lines = (content_copy / SUCCEEDED).read_text().splitlines()
    (line,) = [i for i, text in enumerate(lines) if "{% import 'aws_role_macros'" in text]
    code, output = run("test")
    assert code == 1 and "Failed: 0" in output
    where = f"content: {SUCCEEDED}:{line + 1}: "
    assert f"{where}{MISSING} 'aws_role_macros', which is missing" in " ".join(output.split())

    trail = simulated(tmp_path / "trail", ordinary=10)
    code, output = run("replay", trail)
    where = f"left out: {SUCCEEDED}: SnowflakeQuery: line 2: "
    assert code == 1 and f"{where}{MISSING} 'aws_role_macros'" in " ".join(output.split())

    code, output = run("query", "AWS Role Escalation Succeeded", trail)
    where = f"{SUCCEEDED}: AWS Role Escalation Succeeded: line 2: "
    assert code == 2 and f"{where}{MISSING} 'aws_role_macros'" in " ".join(output.split())


def test_a_macro_that_its_file_does_not_export_is_named(run, content_copy):
    edit(content_copy / MACROS, "macro role_bursts() export", "macro role_bursts()")
    code, output = run("test")
    message = "imports role_bursts from the query 'aws_role_macros', which exports around_alert, r"
    assert code == 1 and message in " ".join(output.split())
