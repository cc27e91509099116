"""Commands import libraries only when they use them."""

import json
import os
import subprocess
import sys

import pytest

from local_panther.imports import LazyModule, deferred, lazily, once_imported
from tests.builders.events import REPO
from tests.builders.replays import simulated

pytestmark = pytest.mark.process

HEAVY = ("aiohttp", "datadog", "gql", "graphql", "moto", "requests", "unittest.mock")
REPLAY = """
import sys
from local_panther.cli import app
app(["replay", sys.argv[1]], standalone_mode=False)
print("loaded:", *sorted({*sys.argv[2:]} & sys.modules.keys()), file=sys.stderr)
"""


def test_a_replay_imports_no_unused_library(tmp_path):
    trail = simulated(tmp_path / "trail.jsonl", ordinary=20)
    command = [sys.executable, "-c", REPLAY, str(trail), *HEAVY]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=True)
    assert "1 incident (1 HIGH)" in result.stdout
    assert result.stderr.splitlines()[-1] == "loaded:"


def test_a_replay_without_role_calls_loads_no_database_and_no_sdk(tmp_path, cache):
    trail = simulated(tmp_path / "trail.jsonl", ordinary=20)
    lines = trail.read_text().splitlines(keepends=True)
    ordinary = [line for line in lines if "Role" not in json.loads(line)["eventName"]]
    trail.write_text("".join(ordinary))
    unused = (*HEAVY, "boto3", "botocore.session", "duckdb", "sqlglot", "ruamel.yaml", "jinja2")
    command = [sys.executable, "-c", REPLAY, str(trail), *unused]
    for _ in range(2):  # the first run fills the cache of results about the content
        result = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=True)
    assert f"No alert in {len(ordinary)} records." in result.stdout and len(ordinary) > 10
    assert result.stderr.splitlines()[-1] == "loaded:"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module that can be imported, and that counts its imports in a variable."""
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
def test_a_deferred_class_imports_its_module_when_it_is_called(module, use):
    with deferred("heavy_one"):
        import user_of_it
    assert "heavy_one" not in sys.modules
    assert eval(use, vars(user_of_it)) == "a" and "heavy_one" in sys.modules


def test_a_deferred_class_has_the_attributes_of_the_real_one(module):
    with deferred("heavy_one"):
        import user_of_it
    assert user_of_it.Client.kind == "real"


def test_a_module_imported_before_is_not_deferred(module):
    import heavy_one

    with deferred("heavy_one"):
        import user_of_it
    assert user_of_it.Client is heavy_one.Client


def test_a_lazy_module_is_imported_when_an_attribute_is_read(module):
    lazy = LazyModule("heavy_one")
    assert "heavy_one" not in sys.modules
    assert lazy.Client.kind == "real" and lazy.Client is sys.modules["heavy_one"].Client


def test_a_module_is_acted_on_before_the_importing_code_gets_it(module):
    acted = []
    with once_imported("heavy_one", acted.append):
        assert acted == []
        import heavy_one
        import user_of_it
    assert acted == [heavy_one] and user_of_it.Client is heavy_one.Client


def test_a_module_imported_before_is_acted_on_at_once(module):
    import heavy_one

    acted = []
    with once_imported("heavy_one", acted.append):
        assert acted == [heavy_one]


def test_a_module_imported_after_the_context_is_not_acted_on(module):
    acted = []
    with once_imported("heavy_one", acted.append):
        pass
    import heavy_one

    assert heavy_one.Client.kind == "real" and acted == []


def test_a_package_is_lazily_imported_with_its_submodules(tmp_path, monkeypatch):
    package = tmp_path / "heavy_two"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("class Error(Exception): pass\ndef fail(): raise Error\n")
    (package / "deep" / "__init__.py").write_text("NUMBER = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    with lazily("heavy_two"):
        import heavy_two

        early = heavy_two
        with pytest.raises(early.Error):
            early.fail()
    with lazily("heavy_two"):
        import heavy_two.deep
    assert heavy_two.deep.NUMBER == 5 and early.deep.NUMBER == 5
    for name in ("heavy_two", "heavy_two.deep"):
        sys.modules.pop(name, None)


def test_a_submodule_of_a_lazy_package_can_be_imported_first(tmp_path, monkeypatch):
    (tmp_path / "heavy_three").mkdir()
    (tmp_path / "heavy_three" / "__init__.py").write_text("")
    (tmp_path / "heavy_three" / "part.py").write_text("NUMBER = 6\n")
    monkeypatch.syspath_prepend(tmp_path)
    with lazily("heavy_three"):
        from heavy_three.part import NUMBER
    assert NUMBER == 6 and type(sys.modules.pop("heavy_three")) is not LazyModule
    sys.modules.pop("heavy_three.part")


def test_a_lazy_module_is_not_imported_before_its_first_use(module):
    with lazily("heavy_one"):
        import heavy_one
    assert "heavy_one" not in sys.modules
    assert heavy_one.Client.kind == "real" and "heavy_one" in sys.modules


def test_a_function_of_a_lazy_module_imports_it_when_called(module):
    with lazily("heavy_one", "Client"):
        import heavy_one

        early = heavy_one.Client
        assert "HEAVY" not in os.environ or os.environ["HEAVY"] == ""
        assert early("a").name == "a" and heavy_one.Client("b").name == "b"


def test_the_conditions_of_a_package_are_imported_without_its_own_code(tmp_path, monkeypatch):
    package = tmp_path / "heavy_four"
    package.mkdir()
    (package / "__init__.py").write_text("from heavy_four.errors import Failed\nNUMBER = 7\n")
    (package / "errors.py").write_text("class Failed(Exception): pass\n")
    (package / "conditions.py").write_text(
        "from heavy_four.errors import Failed\nclass Attr:\n    error = Failed\n"
    )
    (tmp_path / "user_of_part.py").write_text(
        "import heavy_four\nfrom heavy_four.conditions import Attr\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    acted = []
    try:
        with deferred("heavy_four", "heavy_four.conditions"):
            import user_of_part
        with once_imported("heavy_four", acted.append):
            made = user_of_part.Attr()
            assert "NUMBER" not in vars(sys.modules["heavy_four"]) and acted == []
            import heavy_four

            assert heavy_four.NUMBER == 7 and acted == [heavy_four]
        assert heavy_four.Failed is made.error is heavy_four.errors.Failed
        assert heavy_four.conditions.Attr is type(made)
    finally:
        for name in [name for name in sys.modules if name.startswith(("heavy_four", "user_of_p"))]:
            del sys.modules[name]


def test_a_rule_with_state_and_then_a_session_of_boto3_use_one_package():
    code = """
import sys
from local_panther.detection.store import key_value_store
with key_value_store():
    from panther_detection_helpers import caching
    assert caching.add_to_string_set("key", ["value"], 2_000_000_000) == {"value"}
    print("boto3.session" in sys.modules)
    import boto3
    print(boto3.client("sts").get_caller_identity()["Account"], boto3.dynamodb.conditions.Attr)
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=True)
    attribute = "<class 'boto3.dynamodb.conditions.Attr'>"
    assert result.stdout.splitlines() == ["False", f"123456789012 {attribute}"]
