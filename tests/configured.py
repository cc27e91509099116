"""Runs this repository's tests in copies that are configured as users would configure them.

    make test-configured
    .venv/bin/python -m tests.configured [--all] [--jobs N] [NAME…] [-- PYTEST ARGUMENTS…]

A test with a hard-coded setting fails here, as all tests have to follow the settings.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.builders.configurations import CONFIGURATIONS
from tests.builders.events import REPO

BIN = Path(sys.executable).parent
NOT_COPIED = (".git", ".venv", "build", "__pycache__", ".hypothesis", ".*_cache")
# Tests that do not depend on the settings of these detections; --all runs them as well.
WITHOUT_CONTENT = (
    *("tests/records", "tests/instance", "tests/detection", "tests/correlation", "tests/ci"),
    *("tests/tool_runs", "tests/serving", "tests/test_containment.py"),
    *("tests/test_installation.py", "tests/test_any_repository.py"),
    *("tests/cli/test_endings.py", "tests/cli/test_s3.py", "tests/cli/test_sizes.py"),
    *("tests/cli/test_killed.py", "tests/cli/test_stopped_queries.py"),
    *("tests/cli/test_stopped_tests.py", "tests/cli/test_stopped_replays.py"),
    *("tests/cli/test_basis.py", "tests/cli/test_hostile_text.py", "tests/box"),
    *("tests/cli/test_odd_surroundings.py", "tests/lake/test_preparing.py"),
    *("tests/test_release.py", "tests/test_workflows.py", "tests/lake/test_dialect.py"),
    *("tests/lake/test_expressions.py", "tests/lake/test_composed_expressions.py"),
)


def main() -> None:
    """Configure copies, and run both test commands and pytest in each."""
    parser = argparse.ArgumentParser(prog="tests.configured", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CONFIGURATIONS))
    parser.add_argument("--all", action="store_true", help="run tests that need no content too")
    parser.add_argument("--jobs", default="auto", help="processes of pytest")
    place = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, pytest_arguments = parser.parse_args(sys.argv[1:place]), sys.argv[place + 1 :]
    unknown = set(options.names) - set(CONFIGURATIONS)
    if unknown:
        parser.error(f"no such configuration: {', '.join(sorted(unknown))}")
    left_out = [] if options.all else [f"--ignore={folder}" for folder in WITHOUT_CONTENT]
    commands = [
        [BIN / "panther_analysis_tool", "test", "--show-failures-only"],
        [BIN / "local-panther", "test", "--show-failures-only"],
        [
            BIN / "python",
            "-m",
            "pytest",
            "-n",
            options.jobs,
            "--dist",
            "worksteal",
            *left_out,
            *pytest_arguments,
        ],
    ]
    failed = []
    with tempfile.TemporaryDirectory(prefix="configured-") as folder:
        recorded = REPO.parent / "shared"
        if recorded.is_dir():
            (Path(folder) / "shared").symlink_to(recorded)
        for name in options.names or CONFIGURATIONS:
            copy = Path(folder) / name
            shutil.copytree(REPO, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
            CONFIGURATIONS[name](copy)
            failed += [f"{name}: {_shown(c)}" for c in commands if not _passes(name, c, copy)]
    for command in failed:
        print(f"failed: {command}")
    sys.exit(1 if failed else 0)


def _passes(name: str, command: list[str | Path], folder: Path) -> bool:
    """Run a command in a copy, with the copy's own local_panther, and print the result."""
    started = time.monotonic()
    print(f"{name}: {_shown(command)}", flush=True)
    # The copy's package takes precedence over the installed one.
    environment = os.environ | {"PYTHONPATH": str(folder)}
    status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    seconds = time.monotonic() - started
    print(f"{name}: {'passed' if status == 0 else 'FAILED'} in {seconds:.0f} s", flush=True)
    return status == 0


def _shown(command: list[str | Path]) -> str:
    return " ".join([Path(command[0]).name, *map(str, command[1:])])


if __name__ == "__main__":
    main()
