"""Installation as users do it, with pip, pipx or uv in a new environment."""

import importlib.metadata
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.builders.events import REPO
from tests.builders.wheels import UV
from tests.scale import FULL

pytestmark = pytest.mark.process

SECONDS = 120  # of processor time; a resolver that backtracks takes many times that
HIDDEN = ("PIP_CONSTRAINT", "PIP_FIND_LINKS", "PYTHONPATH", "UV_CONSTRAINT", "VIRTUAL_ENV")
REQUIREMENTS = [*map(Requirement, importlib.metadata.requires("local-panther") or ())]
TOOL = {
    requirement.name.lower(): requirement.specifier
    for requirement in map(Requirement, importlib.metadata.requires("panther-analysis-tool") or ())
}
SHARED = [r for r in REQUIREMENTS if r.name.lower() in TOOL and not r.marker]
installs = pytest.mark.skipif(not FULL, reason="make test-users runs it")


def newest(specifier: SpecifierSet) -> Version:
    """Return the lowest upper bound."""
    return min(Version(s.version) for s in specifier if s.operator in ("<", "<=", "=="))


@pytest.mark.parametrize("requirement", SHARED, ids=lambda requirement: requirement.name)
def test_no_release_newer_than_the_tool_allows_is_allowed(requirement):
    """pip tries the newest allowed release first, and backtracks from there."""
    assert newest(requirement.specifier) <= newest(TOOL[requirement.name.lower()])


def test_the_bounds_that_made_pip_backtrack_are_compared():
    assert {"boto3", "aiohttp", "pyyaml"} <= {requirement.name.lower() for requirement in SHARED}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """Return a copy of the tracked files, as in a clone."""
    folder = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, check=True)
    for name in tracked.stdout.decode().split("\0"):
        if name and (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, folder / name)
    return folder


def python(version: str) -> str:
    """Return a Python interpreter of this machine that does not belong to an environment."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for place in sorted(pyenv.glob(f"versions/{version}.*/bin/python3")):
        return str(place)
    find = [UV, "python", "find", "--system", "--no-python-downloads", version]
    found = subprocess.run(find, cwd="/", capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"Python {version} is not on this machine")
    return found.stdout.strip()


def call(*command: object, cwd: Path, **variables: str) -> float:
    """Run an installer without caches; return its processor time in seconds."""
    environment = {k: v for k, v in os.environ.items() if k not in HIDDEN}
    environment |= {"HOME": str(cwd), "PIP_NO_CACHE_DIR": "1", "UV_CACHE_DIR": str(cwd / "cache")}
    environment |= {"XDG_CACHE_HOME": str(cwd / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout[-3000:]}{done.stderr}"
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@installs
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_pip_in_a_new_virtual_environment_installs_it_within_the_limit(version, clone, tmp_path):
    call(python(version), "-m", "venv", tmp_path / "v", cwd=tmp_path)
    assert call(tmp_path / "v/bin/pip", "install", clone, cwd=tmp_path) < SECONDS
    call(tmp_path / "v/bin/local-panther", "init", tmp_path / "content", cwd=tmp_path)
    files = (path for path in (tmp_path / "v").rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < 500e6


@installs
def test_pipx_installs_it_within_the_limit(clone, tmp_path):
    call(python("3.11"), "-m", "venv", tmp_path / "v", cwd=tmp_path)
    call(tmp_path / "v/bin/pip", "install", "pipx", cwd=tmp_path)
    homes = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    pipx = tmp_path / "v/bin/pipx"
    assert call(pipx, "install", "--backend", "pip", clone, cwd=tmp_path, **homes) < SECONDS
    call(tmp_path / "bin/local-panther", "--version", cwd=tmp_path)


@installs
def test_uv_installs_it_within_the_limit(clone, tmp_path):
    homes = {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    install = (UV, "tool", "install", "--python", python("3.11"), clone)
    assert call(*install, cwd=tmp_path, **homes) < SECONDS
    call(tmp_path / "bin/local-panther", "--version", cwd=tmp_path)
