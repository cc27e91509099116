"""Named pipes and sockets in the content: the tool would open them and hang."""

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from tests.scale import slow

pytestmark = pytest.mark.process

RULES = "rules/aws_cloudtrail_rules"


def local_panther_test(folder, *arguments):
    command = [sys.executable, "-m", "local_panther", "test", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", [None, pytest.param("rules", marks=slow), "{folder}"])
def test_named_pipes_and_sockets_are_left_out_and_counted(content_copy, tmp_path, path):
    os.mkfifo(content_copy / RULES / "pipe.yml")
    os.mkfifo(content_copy / "queries" / "pipe.yml")
    with (
        socket.socket(socket.AF_UNIX) as listening,
        contextlib.chdir(content_copy / "global_helpers"),  # a socket's path must be short
    ):
        listening.bind("socket.yml")
    where = ["--path", path.format(folder=content_copy)] if path else []
    report = tmp_path / "tests.xml"
    status, output = local_panther_test(content_copy, *where, "--junit", report)
    assert status == 0 and "Failed: 0" in output, output
    what = "3 named pipes, sockets or devices, such as global_helpers/socket.yml"
    assert f"not opened: {what}" in output and report.exists()


def test_a_named_pipe_as_the_body_of_a_rule_is_an_error_of_that_rule_only(content_copy):
    name = f"{RULES}/aws_iam_list_roles"
    (content_copy / f"{name}.py").unlink()
    os.mkfifo(content_copy / f"{name}.py")
    status, output = local_panther_test(content_copy)
    assert status == 1
    assert f"content: {name}.yml: Filename: {name}.py is not a regular file" in output
    assert "AWS.CloudTrail.MultipleFailedRoleAttempts" in output and "Failed: 0" in output
