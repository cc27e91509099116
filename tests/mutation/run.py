"""Mutation testing: makes small changes to the code and names those that no test notices.

It covers the two parts on which all other results depend: the global helpers and the correlation
evaluator. Each is mutated in a copy outside the repository; `mutmut show NAME` in the copy prints a
change that survived.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).parent.parent.parent
# Outside the repository, where tools would find the content of the copies as well
COPIES = Path(tempfile.gettempdir()) / "local-panther-mutation"

CONFIG = """
[tool.mutmut]
source_paths = {sources}
only_mutate = {mutated}
also_copy = {copied}
pytest_add_cli_args_test_selection = {tests}
"""
CORRELATION_TESTS = ["correlation/test_cases", "correlation/test_correlation_engine"]
CORRELATION_TESTS += ["correlation/test_brute_force", "correlation/test_bounds"]
CORRELATION_TESTS += ["correlation/test_properties", "content/test_correlation_grammar"]
HELPER_TESTS = ["blocklist_rule", "data_model", "distinct_window", "hostile_events"]
HELPER_TESTS += ["role_activity", "signal_rules", "store_failures"]


def correlation(copy: Path) -> dict:
    """Mutate the correlation evaluator."""
    return {
        "sources": ["local_panther"],
        "mutated": ["local_panther/correlation/*"],
        "tests": [f"tests/{name}.py" for name in CORRELATION_TESTS],
    }


def helpers(copy: Path) -> dict:
    """Mutate the global helpers at the top of the copy, since mutmut imports modules by path."""
    names = [path.name for path in (copy / "global_helpers").glob("*.py")]
    for name in names:
        shutil.copy(copy / "global_helpers" / name, copy)
    config = copy / "pyproject.toml"
    config.write_text(config.read_text().replace('["global_helpers"]', '["."]'))
    return {
        "sources": names,
        "mutated": names,
        "tests": [f"tests/shipped/test_{name}.py" for name in HELPER_TESTS],
    }


def main() -> None:
    """Run both parts, or those named as arguments; exit with 1 if a change survived."""
    parts = {"correlation": correlation, "helpers": helpers}
    survived = 0
    for name in sys.argv[1:] or parts:
        copy = COPIES / name
        shutil.rmtree(copy, ignore_errors=True)
        for path in _tracked_files():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / path, copy / path)
        settings = parts[name](copy)
        settings["copied"] = sorted({path.parts[0] for path in _tracked_files()})
        with (copy / "pyproject.toml").open("a") as config:
            config.write(CONFIG.format(**settings))
        survived += _survivors(copy)
    sys.exit(1 if survived else 0)


def _tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, check=True)
    return [Path(line) for line in listed.stdout.decode().splitlines()]


def _survivors(copy: Path) -> int:
    """Run mutmut in a copy, print the changes that survived, and return their number."""
    mutmut = [sys.executable, "-m", "mutmut"]
    environment = os.environ | {"TEST_SCALE": "mutation"}
    done = subprocess.run([*mutmut, "run"], cwd=copy, env=environment)
    results = subprocess.run([*mutmut, "results"], cwd=copy, capture_output=True, text=True)
    if done.returncode or "not checked" in results.stdout:
        sys.exit(f"mutmut ended with {done.returncode} before it had checked every change")
    names = [line.split(":")[0].strip() for line in results.stdout.splitlines() if "surviv" in line]
    for name in names:
        subprocess.run([*mutmut, "show", name], cwd=copy)
    return len(names)


if __name__ == "__main__":
    main()
