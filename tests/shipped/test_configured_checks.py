"""The package configured as README says: its checks and its own tests pass."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_panther.content.agreements import check_agreements
from tests.builders.configurations import CONFIGURATIONS, shipped

BIN = Path(sys.executable).parent


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "tool"),
    [
        *((name, "local-panther") for name in CONFIGURATIONS),
        # Without an instance the blocklist is read from the sidecar.
        *((name, "panther_analysis_tool") for name in ("arns", "any")),
    ],
)
def test_the_tests_of_configured_content_pass(content_copy, name, tool):
    CONFIGURATIONS[name](content_copy)
    command = [BIN / tool, "test", "--show-failures-only"]
    done = subprocess.run(command, cwd=content_copy, capture_output=True, text=True)
    assert done.returncode == 0 and "Failed: 0" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("configure", [shipped, *CONFIGURATIONS.values()])
def test_values_that_follow_agree_with_their_settings(content_copy, configure):
    configure(content_copy)
    assert check_agreements(content_copy) == []
