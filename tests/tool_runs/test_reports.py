"""Reports of `local-panther test`: JUnit XML, and marks in a pull request."""

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from local_panther.tool_runs.annotations import annotations
from local_panther.tool_runs.junit import junit_xml
from local_panther.tool_runs.results import Result
from tests.builders import hostile
from tests.builders.content import write_rules
from tests.cli.test_command_line import COMMAND
from tests.conftest import copy_content

pytestmark = pytest.mark.process

CORRELATION = "correlation_rules/aws_list_roles_with_multiple_failed_role_attempts.yml"
CORRELATION_ID = "AWS.CloudTrail.ListRoles.WITH.MultipleFailedRoleAttempts"


def run_test(folder: Path, *arguments, **environment) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PANTHER_", "GITHUB_"))}
    return subprocess.run(
        [COMMAND, "test", *map(str, arguments)],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def number_of_tests(folder: Path) -> int:
    specs = [yaml.safe_load(path.read_text()) for path in folder.rglob("*.yml")]
    return sum(len(spec.get("Tests") or []) for spec in specs)


class Run:
    """A run over content in a folder of its own, with a JUnit report."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.done = run_test(folder, "--junit", folder / "out.xml", **environment)
        self.report = ElementTree.parse(folder / "out.xml").getroot()


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    """A run over the shipped content."""
    return Run(copy_content(tmp_path_factory.mktemp("passed") / "content"))


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A run in GitHub Actions over content with a failing correlation test, a failing rule test and
    an invalid file."""
    folder = copy_content(tmp_path_factory.mktemp("failed") / "content")
    path = folder / CORRELATION
    spec = yaml.safe_load(path.read_text())
    spec["Tests"][0]["ExpectedResult"] = not spec["Tests"][0]["ExpectedResult"]
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    rule = folder / "rules" / "aws_cloudtrail_rules" / "aws_iam_list_roles.py"
    rule.write_text(rule.read_text().replace("def rule(event):", "def rule(event):\n    1 / 0"))
    (folder / "rules" / "bad.yml").write_text("a: [")
    return Run(folder, GITHUB_ACTIONS="true")


class TestJUnit:
    def test_junit_xml_has_every_test_of_a_repository(self, passed):
        assert passed.done.returncode == 0, passed.done.stderr
        cases = list(passed.report.iter("testcase"))
        assert len(cases) == number_of_tests(passed.folder) == int(passed.report.get("tests"))
        assert passed.report.get("failures") == "0"
        for case in cases:
            assert (passed.folder / case.get("file")).is_file()
        assert CORRELATION_ID in {case.get("classname") for case in cases}

    def test_junit_xml_has_failures_with_their_reason(self, failed):
        assert failed.done.returncode == 1
        reasons = {
            c.get("classname"): c.find("failure").text
            for c in failed.report.iter()
            if len(c) and c.tag == "testcase"
        }
        assert reasons.keys() == {
            CORRELATION_ID,
            "AWS.CloudTrail.IAMListRoles",
            str(failed.folder / "rules" / "bad.yml"),
        }
        assert "division by zero" in reasons["AWS.CloudTrail.IAMListRoles"]

    def test_the_output_is_that_of_the_tool(self, passed):
        assert run_test(passed.folder).stdout == passed.done.stdout

    def test_unwritable_junit_xml_is_a_message(self, content_copy):
        done = run_test(content_copy, "--junit", "/dev/null/out.xml")
        assert done.returncode == 2 and "cannot be written" in done.stderr

    @given(st.lists(st.tuples(st.text(), st.text(), st.booleans(), st.lists(st.text()))))
    def test_junit_xml_is_valid_whatever_the_names(self, rows):
        root = ElementTree.fromstring(junit_xml([Result(*row) for row in rows], {}).encode())
        assert len(list(root.iter("testcase"))) == len(rows)
        assert len(list(root.iter("failure"))) == sum(not row[2] for row in rows)


def obeyed(log: str) -> list[str]:
    """Return the lines of a log that GitHub's runner obeys as commands.

    As in actions/runner, these have `::` after blanks or `##[` anywhere; none while stopped.
    """
    found, token = [], ""
    for line in re.split("\r\n|\r|\n", log):
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        elif line.lstrip().startswith("::") or "##[" in line:
            found.append(line)
    return found


class TestGitHub:
    def test_failures_are_marked_in_their_file_and_line(self, failed):
        marks = [line for line in failed.done.stdout.splitlines() if line.startswith("::error ")]
        files = {mark.split("file=")[1].split(",")[0] for mark in marks}
        rule = "rules/aws_cloudtrail_rules/aws_iam_list_roles.yml"
        assert files == {CORRELATION, rule, "rules/bad.yml"}
        (mark,) = [mark for mark in marks if CORRELATION in mark]
        line = int(mark.split("line=")[1].split(",")[0])
        assert "Name: " in (failed.folder / CORRELATION).read_text().splitlines()[line - 1]

    def test_nothing_is_marked_outside_github_or_with_no_github(self, failed):
        only = "--path", "correlation_rules"
        assert "::error" not in run_test(failed.folder, *only).stdout
        at_github = run_test(failed.folder, *only, "--no-github", GITHUB_ACTIONS="true")
        assert "::error" not in at_github.stdout
        assert "::error" in run_test(failed.folder, *only, "--github").stdout

    @pytest.mark.attack("output")
    def test_no_text_of_the_content_is_a_command_of_the_runner(self, tmp_path, record_property):
        """Names of tests with line breaks, and what a rule prints or raises."""
        texts = [text.encode(errors="ignore").decode() for text in hostile.SHORT.values()]
        record_property("tried", len(texts))
        body = "def rule(event):\n    print(event['text'])\n    raise ValueError(event['text'])\n"
        folder = write_rules(tmp_path / "content", bad=body)
        path = folder / "rules" / "bad.yml"
        tests = [
            {"Name": f"{n} {text}", "ExpectedResult": True, "Log": {"text": text}}
            for n, text in enumerate(texts)
        ]
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"Tests": tests}))
        command = [COMMAND, "test", "--github"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        shown = done.stdout.decode()
        assert len(obeyed(shown)) == len(texts), obeyed(shown)
        assert all(line.startswith("::error file=rules/bad.yml,line=") for line in obeyed(shown))
        held_back = set(shown.splitlines()) - set(obeyed(shown))
        assert any(
            re.match(r"\s*::error::owned", line) for line in held_back
        )  # there was one to hold back

    @pytest.mark.attack("output")
    @pytest.mark.parametrize("text", hostile.TEXTS.values(), ids=hostile.TEXTS)
    def test_hostile_text_is_one_mark_and_one_case(self, text):
        result = Result(text, text, passed=False, messages=[text, text])
        (mark,) = annotations([result], {text: Path("a,b::c.yml")})
        assert mark.startswith("::error file=") and not {"\n", "\r"} & set(mark)
        place = mark.removeprefix("::error ").partition("::")[0]
        assert [part.partition("=")[0] for part in place.split(",")] == ["file", "title"]
        root = ElementTree.fromstring(junit_xml([result], {}).encode(errors="replace"))
        assert len(list(root.iter("testcase"))) == len(list(root.iter("failure"))) == 1

    @given(st.text(), st.text(), st.lists(st.text()))
    def test_a_mark_is_one_line_whatever_the_names(self, item, test, messages):
        """A name cannot end the line, and begin a command of its own."""
        (mark,) = annotations([Result(item, test, passed=False, messages=messages)], {})
        assert "\n" not in mark and "\r" not in mark and mark.startswith("::error file=")
