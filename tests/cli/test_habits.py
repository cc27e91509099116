"""Conventions that people expect of any command line."""

import os
import re
import shlex
import subprocess

import pytest

from local_panther import cli
from local_panther.cli import common
from local_panther.records.model import Tally
from tests.builders.events import REPO
from tests.builders.replays import simulated
from tests.cli.test_command_line import COMMAND, run

pytestmark = pytest.mark.process

COMMANDS = [command.name for command in cli.COMMANDS]


def with_environment(*arguments, cwd=REPO, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


class TestHelp:
    def test_version_names_the_tools_too(self):
        status, out, err = run("--version")
        assert status == 0 and err == ""
        assert [line.split()[0] for line in out.splitlines()] == [
            "local-panther",
            "panther-analysis-tool",
            "panther-core",
            "panther-detection-helpers",
        ]

    @pytest.mark.parametrize("option", ["-h", "--help"])
    @pytest.mark.parametrize("command", [None, *COMMANDS])
    def test_help_exists_for_every_command(self, command, option):
        status, out, _ = run(*filter(None, (command, option)))
        assert status == 0 and f"Usage: local-panther{' ' + command if command else ''}" in out

    def test_help_of_test_names_its_own_options_and_those_of_the_tool(self):
        _, out, _ = run("test", "-h")
        assert "--junit" in out and "--show-failures-only" in out

    @pytest.mark.parametrize("columns", [60, 100])
    def test_help_is_as_wide_as_columns_says(self, columns):
        out = with_environment("serve", "-h", COLUMNS=str(columns)).stdout
        assert columns - 25 < max(map(len, out.splitlines())) <= columns

    def test_help_in_a_pipe_has_the_whole_sentence_of_a_command(self):
        out = with_environment("-h").stdout
        assert "Run content over recorded CloudTrail; print the alerts." in out
        assert "..." not in out.split("Commands:")[1]

    def test_help_is_printed_without_arguments(self):
        assert run() == run("-h")

    def test_help_begins_with_what_a_newcomer_needs_and_fits_a_narrow_terminal(self):
        lines = with_environment("-h", COLUMNS="80").stdout.split("Commands:\n")[1].splitlines()
        assert [line.split()[0] for line in lines] == COMMANDS
        assert COMMANDS[:3] == ["init", "test", "replay"]
        assert all(line.endswith(".") and "..." not in line for line in lines)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_of_a_command_has_an_example_and_its_page_and_no_bounds(self, command):
        out = run(command, "-h")[1]
        assert f"Examples:\n    local-panther {command}" in out
        (page,) = re.findall(r"Page: (\S+)", out)
        assert (REPO / page).is_file()
        assert "RANGE" not in out and "x>=" not in out and "[default: 0\n" not in out

    @pytest.mark.parametrize(
        "example", [example for command in cli.COMMANDS for example in command.examples]
    )
    def test_examples_in_help_use_existing_options(self, example):
        _, name, *words = shlex.split(example)
        out = run(name, "-h")[1]
        assert all(word.split("=")[0] in out for word in words if word.startswith("--"))

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_can_be_installed(self, shell, tmp_path):
        variables = {"_LOCAL_PANTHER_COMPLETE": f"complete_{shell}"}
        variables |= {"_TYPER_COMPLETE_ARGS": "local-panther re", "COMP_CWORD": "1"}
        variables |= {"COMP_WORDS": "local-panther re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        assert "replay" in with_environment(**variables).stdout
        assert "--install-completion" in run("-h")[1]


class TestWidth:
    def test_tables_are_as_wide_as_columns_says(self, tmp_path):
        trail = simulated(tmp_path / "t.jsonl")
        for columns in (70, 200):
            out = with_environment("replay", trail, COLUMNS=str(columns)).stdout
            # A command stays whole, so that it can be copied.
            commands = ("   local-panther query", "   aws iam")
            lines = [line for line in out.splitlines() if not line.startswith(commands)]
            assert max(map(len, lines)) <= columns

    def test_messages_in_a_pipe_are_not_broken(self, tmp_path):
        name = "x" * 150
        _, _, err = run("replay", tmp_path / name, "--format", "json", "-q")
        assert f"{tmp_path / name}: no such file or folder" in err
        _, _, err = run("simulate", "-", "--blocklisted", name)
        assert name in err


class TestReports:
    @pytest.mark.parametrize("name", [".", "missing/r.html", "folder"])
    def test_unwritable_reports_are_refused_before_anything_is_read(self, tmp_path, name):
        (tmp_path / "folder").mkdir()
        trail = simulated(tmp_path / "t.jsonl")
        status, out, err = run("replay", trail, "--report", tmp_path / name)
        assert status == 2 and out == "" and "folder" in err

    def test_an_alert_does_not_fail_a_replay_without_a_check(self, tmp_path):
        assert run("replay", simulated(tmp_path / "t.jsonl"))[0] == 0


class TestColour:
    def test_no_colour_is_used_if_no_color_is_set(self, content_copy):
        coloured = with_environment("test", cwd=content_copy, NO_COLOR="").stdout
        plain = with_environment("test", cwd=content_copy, NO_COLOR="1").stdout
        option = with_environment("test", "--no-color", cwd=content_copy).stdout
        assert "\x1b" in coloured and "\x1b" not in plain + option
        assert "[PASS]" in plain and "[PASS]" in option


class TestQuiet:
    def test_notes_are_left_out_and_errors_are_not(self, tmp_path):
        assert run("simulate", tmp_path / "a")[2] != ""
        assert run("simulate", tmp_path / "b", "--quiet")[2] == ""
        report = tmp_path / "r.html"
        assert str(report) in run("replay", tmp_path / "a", "--report", report)[2]
        assert run("replay", tmp_path / "a", "--report", report, "-q")[2] == ""
        status, _, err = run("simulate", tmp_path / "a" / "x.jsonl" / "y.jsonl", "-q")
        status, _, err = run("simulate", "/dev/null/y.jsonl", "-q")
        assert status == 2 and "cannot be written" in err


class TestArguments:
    @pytest.mark.parametrize("arn", ["NotAnArn", "", "arn:aws:iam::1:role/x", "arn:aws:iam::role"])
    def test_an_invalid_role_is_an_error_with_an_example(self, arn):
        status, out, err = run("simulate", "-", "--blocklisted", arn)
        assert status == 2 and out == "" and "Traceback" not in err
        assert "is not the ARN of a role, such as arn:aws:iam::" in err

    @pytest.mark.parametrize(
        ("options", "needed"),
        [
            (("--accounts", 2, "--api", "update-trust-policy"), "--accounts needs --api"),
            (("--console",), "--console needs --blocklisted"),
            (("--follow-up",), "--follow-up needs --succeed"),
        ],
    )
    def test_an_option_that_would_do_nothing_is_refused(self, options, needed):
        status, out, err = run("simulate", "-", *options)
        assert status == 2 and out == "" and needed in err

    @pytest.mark.parametrize("name", ["out.csv", "out.gz", "out.json.zip", "out.parquet", "o.JSON"])
    def test_a_file_with_another_suffix_is_refused(self, tmp_path, name):
        status, _, err = run("simulate", tmp_path / name)
        assert status == 2 and "files end in .json, .jsonl or .ndjson" in err
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["out", "2026.01", "v1.2/", "out.csv/", "a.json.gz"])
    def test_folders_and_files_with_known_suffixes_are_written(self, tmp_path, name):
        status, _, err = run("simulate", f"{tmp_path}/{name}")
        assert status == 0 and "records in" in err
        assert (tmp_path / name).is_dir() == (name != "a.json.gz")


class TestProgress:
    def test_progress_is_printed_as_lines_without_a_terminal(self, monkeypatch, capsys):
        monkeypatch.setattr(common, "LINE_SECONDS", 0)
        with common.reading_progress(common.message_console()) as watch:
            for files in range(3):
                watch(Tally(files=files, records=files * 1000), 3)
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1] == "reading: 2 of 3 files, 2,000 records" and len(lines) == 3

    def test_progress_is_left_out_if_quiet(self, monkeypatch):
        monkeypatch.setenv("LOCAL_PANTHER_QUIET", "1")
        with common.reading_progress(common.message_console()) as watch:
            assert watch is None
