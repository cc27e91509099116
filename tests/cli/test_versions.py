"""Commands start with tested and newer versions of Panther's packages, and not with older ones."""

import os
import subprocess

import pytest

from tests.cli.test_command_line import COMMAND

pytestmark = pytest.mark.process


def beside(folder, name, version, *arguments):
    """Run a command in an environment where a package has another version, as its metadata says."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("panther-analysis-tool", "1.5.2"),
        ("panther-detection-helpers", "0.3.0"),
        ("panther-core", "0.15.0"),
    ],
)
def test_a_version_that_is_too_old_is_named_with_what_to_install(tmp_path, name, version):
    done = beside(tmp_path, name, version, "simulate", "-")
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert f"{name} {version} is too old" in done.stderr and "pip install" in done.stderr


def test_a_newer_untested_version_is_mentioned_and_runs(tmp_path):
    done = beside(tmp_path, "panther-analysis-tool", "1.99.0", "simulate", tmp_path / "t.jsonl")
    assert done.returncode == 0
    assert "panther-analysis-tool 1.99.0 was not tested with local-panther" in done.stderr
    quiet = subprocess.run(
        [COMMAND, "simulate", tmp_path / "q.jsonl", "-q"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
    )
    assert quiet.returncode == 0 and quiet.stderr == b""


def test_help_and_versions_are_printed_whatever_is_installed(tmp_path):
    done = beside(tmp_path, "panther-core", "0.15.0", "--version")
    assert done.returncode == 0 and "panther-core 0.15.0" in done.stdout
