"""What a command does not use, it does not import; what it uses after all, it does."""

import subprocess
import sys

import pytest

from local_panther.imports import deferred
from tests.builders.events import REPO
from tests.builders.replays import simulated

HEAVY = ("aiohttp", "datadog", "gql", "graphql", "moto", "requests", "unittest.mock")
REPLAY = """
import sys
from local_panther.cli import app
app(["replay", sys.argv[1]], standalone_mode=False)
print("loaded:", *sorted({*sys.argv[2:]} & sys.modules.keys()), file=sys.stderr)
"""


def test_a_replay_imports_nothing_that_it_does_not_use(tmp_path):
    trail = simulated(tmp_path / "trail.jsonl", ordinary=20)
    command = [sys.executable, "-c", REPLAY, str(trail), *HEAVY]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=True)
    assert "1 incident (1 HIGH)" in result.stdout
    assert result.stderr.splitlines()[-1] == "loaded:"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that can be imported, and how often it was."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "heavy_one.py").write_text(
        "import os\nos.environ['HEAVY'] = os.environ.get('HEAVY', '') + 'x'\n"
        "class Client:\n    kind = 'real'\n    def __init__(self, name): self.name = name\n"
    )
    (tmp_path / "user_of_it.py").write_text("import heavy_one\nfrom heavy_one import Client\n")
    monkeypatch.setenv("HEAVY", "")
    yield
    for name in ("heavy_one", "user_of_it"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("use", ["Client('a').name", "heavy_one.Client('a').name"])
def test_what_was_deferred_is_imported_when_it_is_called(module, use):
    with deferred("heavy_one"):
        import user_of_it
    assert "heavy_one" not in sys.modules
    assert eval(use, vars(user_of_it)) == "a" and "heavy_one" in sys.modules


def test_what_was_deferred_has_the_attributes_of_the_real_one(module):
    with deferred("heavy_one"):
        import user_of_it
    assert user_of_it.Client.kind == "real"


def test_what_was_imported_before_is_not_replaced(module):
    import heavy_one

    with deferred("heavy_one"):
        import user_of_it
    assert user_of_it.Client is heavy_one.Client
