"""The built wheel in an environment of its own, with nothing of the repository on its path."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.builders.events import REPO

UV = Path(sys.executable).with_name("uv")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Installed:
    """An environment in which the wheel is installed.

    Attributes:
        folder: The virtual environment.
        home: The user's home, empty at first.
    """

    folder: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a new user's shell."""
        path = f"{self.folder / 'bin'}:{SYSTEM}"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8"}

    def run(self, *command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )


def built_wheel(folder: Path, source: Path = REPO) -> Path:
    _call(UV, "build", "--quiet", "--wheel", "--out-dir", folder, source)
    return next(folder.glob("*.whl"))


def installed_wheel(folder: Path) -> Installed:
    """Build the wheel and install it with the versions of constraints.txt."""
    wheel, environment, home = built_wheel(folder), folder / "environment", folder / "home"
    home.mkdir()
    _call(UV, "venv", "--quiet", "--python", sys.executable, environment)
    install = (UV, "pip", "install", "--quiet", "--python", environment / "bin" / "python")
    _call(*install, "--constraint", REPO / "constraints.txt", wheel)
    return Installed(environment, home)


def _call(*command: object) -> None:
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
