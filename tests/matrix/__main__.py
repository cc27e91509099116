"""`make test-matrix`: runs the wheel with each version of Panther's packages that people have.

Each combination is installed in an environment of its own, without this repository on its path.
There `init` writes the detections, a rule of each kind is added (`kinds.py`), `test` runs the unit
tests, and `replay` reads a generated attack. All combinations must print the same alerts.

With each version of DuckDB and sqlglot, the expressions of `tests/lake` must have the values that
Snowflake documents.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.matrix.kinds import IDS, write_kinds

REPO = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
# The newest patch of each minor version, which pip installs unless a patch is pinned
TOOLS = ("1.6.3", "1.7.0", "1.8.2", "1.9.0", "1.10.0", "1.11.1")
HELPERS = ("0.4.0", "1.0.2")
# Both ends of the ranges, versions in between, and versions that differ from their neighbours
SQLGLOTS = ("30.0.0", "30.10.0", "30.20.0", "30.29.0", "30.30.0")
DUCKDBS = ("1.4.0", "1.4.5", "1.5.0", "1.5.6", "2.0.0", "2.0.1")
EXPRESSIONS = ("tests/lake/test_expressions.py", "tests/lake/test_composed_expressions.py")
# The requirements of panther-analysis' Pipfile
PANTHER_ANALYSIS = (
    "panther-analysis-tool~=1.6.3",
    "panther-detection-helpers==0.4.0",
    "policyuniverse==1.5.1.20230817",
    "pycountry==24.6.1",
    "typer~=0.20.0",
    "decorator~=5.1",
    "moto>=4.1",
)


@dataclass(frozen=True)
class Combination:
    """The packages and the Python of one environment, besides the wheel.

    Attributes:
        name: Name in the output.
        arguments: Arguments for `uv pip install`.
        python: Version of Python.
        is_lake: True if only the expressions of the lake are tested.
    """

    name: str
    arguments: tuple[str | Path, ...]
    python: str = "3.11"
    is_lake: bool = False


def combinations() -> list[Combination]:
    """Return all combinations: both ends of each range, each pair of versions, newer Pythons."""
    ends = [
        Combination(
            "lowest of every range",
            ("--resolution", "lowest-direct", "-r", REPO / "pyproject.toml"),
        ),
        Combination("highest of every range", ("--resolution", "highest")),
        Combination("panther-analysis' own pins", PANTHER_ANALYSIS),
        Combination("Python 3.12", (), "3.12"),
        Combination("Python 3.13", (), "3.13"),
    ]
    pairs = [
        Combination(
            f"panther-analysis-tool {tool}, helpers {helpers}",
            (f"panther-analysis-tool=={tool}", f"panther-detection-helpers=={helpers}"),
        )
        for tool, helpers in product(TOOLS, HELPERS)
    ]
    newest = (DUCKDBS[-1], SQLGLOTS[-1])
    lakes = {newest, (DUCKDBS[0], SQLGLOTS[0])}
    lakes |= {(DUCKDBS[-1], sqlglot) for sqlglot in SQLGLOTS}
    lakes |= {(duckdb, SQLGLOTS[-1]) for duckdb in DUCKDBS}
    return [
        *ends,
        *pairs,
        *(
            Combination(
                f"DuckDB {duckdb}, sqlglot {sqlglot}",
                (f"duckdb=={duckdb}", f"sqlglot=={sqlglot}", "pytest", "hypothesis"),
                is_lake=True,
            )
            for duckdb, sqlglot in sorted(lakes)
        ),
    ]


def main() -> None:
    """Run all combinations, or those whose name contains the argument; exit with 1 on a failure."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [c for c in combinations() if wanted in c.name]
    for combination in [c for c in chosen if not _has_python(c.python)]:
        chosen.remove(combination)
        print(f"skipped {combination.name}, which is not installed on this machine")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="local-panther-matrix-") as folder:
        root = Path(folder)
        wheel = _wheel(root)
        trail = _trail(root)
        expected = ""
        for number, combination in enumerate(chosen):
            try:
                if combination.is_lake:
                    passed = _run_expressions(combination, root / str(number), wheel)
                    print(f"passed  {combination.name} ({passed})", flush=True)
                    continue
                alerts, versions = _run(combination, root / str(number), wheel, trail)
                expected = expected or alerts
                if alerts != expected:
                    raise RuntimeError(f"alerts differ from {chosen[0].name}:\n{alerts}")
                print(f"passed  {combination.name} ({versions})", flush=True)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"FAILED  {combination.name}: {error}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not chosen else 0)


def _has_python(version: str) -> bool:
    find = [UV, "python", "find", "--quiet", "--no-python-downloads", version]
    return not subprocess.run(find, capture_output=True).returncode


def _wheel(root: Path) -> Path:
    _call([UV, "build", "--quiet", "--wheel", "--out-dir", root, REPO], root)
    return next(root.glob("*.whl"))


def _trail(root: Path) -> Path:
    trail = root / "trail.jsonl"
    blocklisted = "arn:aws:iam::123456789012:role/FullAdminRole"
    command = Path(sys.executable).with_name("local-panther")
    _call([command, "simulate", trail, "--succeed", 2, "--blocklisted", blocklisted], root)
    return trail


def _run(combination: Combination, folder: Path, wheel: Path, trail: Path) -> tuple[str, str]:
    """Install a combination and run its commands; return the alerts and the versions."""
    content = folder / "content"
    _install(combination, folder, wheel)
    command = folder / "bin" / "local-panther"
    _call([command, "init", content], folder)
    write_kinds(content)
    tested = _call([command, "test"], content)
    if "Skipped: 0" not in tested or "Failed: 0" not in tested:
        raise RuntimeError(tested)
    replay = [command, "replay", trail, "--include-disabled", "--format", "json"]
    alerts = _call(replay, content)
    fired = {json.loads(line)["rule_id"] for line in alerts.splitlines()}
    if len(fired - IDS) < 3 or not fired >= IDS:
        raise RuntimeError(f"not all detections fired:\n{alerts}")
    versions = _call([command, "--version"], folder).splitlines()[1:]
    return alerts, ", ".join(line.split()[1] for line in versions)


def _run_expressions(combination: Combination, folder: Path, wheel: Path) -> str:
    """Install a combination, test the expressions of the lake, and return pytest's last line."""
    _install(combination, folder, wheel)
    suite = folder / "suite"
    shutil.copytree(REPO / "tests", suite / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    command = [folder / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider", *EXPRESSIONS]
    return _call(command, suite).splitlines()[-1].strip("= ")


def _install(combination: Combination, folder: Path, wheel: Path) -> None:
    """Create the environment of a combination."""
    _call([UV, "venv", "--quiet", "--python", combination.python, folder], folder.parent)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    _call([*install, wheel, *combination.arguments], folder)


def _call(command: list[object], folder: Path) -> str:
    """Run a command without this environment on its path, and return its output."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "UV_CONSTRAINT", "PIP_CONSTRAINT")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
