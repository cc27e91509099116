"""Settings and fixtures shared by all tests."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from panther_core.enriched_event import PantherEvent

from local_panther.detection.store import key_value_store, ordinary_table
from tests.builders.browser import started_browser
from tests.builders.events import REPO
from tests.builders.s3 import made_bucket, running_s3
from tests.builders.unlisted import CONTENT, copy_content, without_listed_principals
from tests.scale import FULL, MUTATION, QUICK
from tests.tiers import Tiers

# The sample is the same in every run, so that a failure comes from the change, not from chance; the
# full run tries new examples each time. Neither fails for being slow on a busy machine.
settings.register_profile("sample", derandomize=True, deadline=None)
settings.register_profile("quick", settings.get_profile("sample"), max_examples=10)
settings.register_profile("full", deadline=None)
# mutmut runs the tests again and again in one process.
rerun = [HealthCheck.differing_executors]
settings.register_profile("mutation", settings.get_profile("sample"), suppress_health_check=rerun)
PROFILES = {"full": FULL, "quick": QUICK, "mutation": MUTATION}
settings.load_profile(next((name for name, chosen in PROFILES.items() if chosen), "sample"))

# Tests import the helpers of the same content that they replay.
sys.path.insert(0, str(CONTENT / "global_helpers"))

RECORDED = REPO.parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Let commands under test get signals, even if `nohup` or a shell's `&` started the tests.

    Both make all started processes ignore signals. Only test processes of xdist are changed, not
    the one that distributes the tests.
    """
    config.pluginmanager.register(Tiers())
    if hasattr(config, "workerinput"):
        for number in (signal.SIGHUP, signal.SIGINT):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument and number.

    Archives contain their time of creation, but all test processes must use the same names.
    """
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the area to the reports of tests of attacks, for `make attacks`."""
    for item in items:
        if marker := item.get_closest_marker("attack"):
            item.user_properties.append(("attack", marker.args[0]))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Use a temporary cache instead of the user's, and yield its folder.

    The processes of one run share it, so that each query is translated once.
    """
    is_one_of_several = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if is_one_of_several else base) / "cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture
def dynamodb() -> Iterator[None]:
    """moto's DynamoDB behind panther_detection_helpers, and helpers without memory."""
    forget()
    with ordinary_table():
        yield


@pytest.fixture
def store() -> Iterator[None]:
    """The key-value store of replays behind panther_detection_helpers, empty.

    A tenth of the cost of moto's; tests/detection/test_table.py and
    tests/shipped/test_key_value_store.py compare the two.
    """
    forget()
    with key_value_store():
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a real browser; tests that use it are skipped where there is none."""
    with started_browser() as running:
        yield running


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of an emulated S3 in another process."""
    with running_s3(tmp_path_factory.mktemp("s3") / "log") as address:
        yield address


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a client of S3 with an empty bucket, and set the environment that leads there."""
    with made_bucket(monkeypatch, s3_endpoint) as client:
        yield client


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a local time zone other than UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def content_copy(tmp_path: Path) -> Path:
    """Return a copy of this repository's content that tests can edit."""
    return copy_content(tmp_path / "content")


@pytest.fixture
def content_without_exemptions(content_copy: Path) -> Path:
    """Return a copy of this repository's content without exempted principals."""
    return without_listed_principals(content_copy)


def forget() -> None:
    """Empty the memory of the helpers, which outlives an event."""
    import aws_role_attempt_helpers
    import distinct_window_helpers

    distinct_window_helpers._known.clear()
    aws_role_attempt_helpers._latest.clear()


def recorded_files() -> list[Path]:
    """Return the files of recorded CloudTrail; none if they are not beside the repository."""
    return sorted(RECORDED.glob("cloudtrail-*.jsonl"))


@pytest.fixture(params=[path.name for path in recorded_files()] or ["missing"])
def recorded_file(request: pytest.FixtureRequest) -> Path:
    """Return each file of recorded CloudTrail in turn."""
    if not recorded_files():
        pytest.skip(f"no recorded CloudTrail in {RECORDED}")
    return RECORDED / request.param


@pytest.fixture(scope="session")
def recorded_events() -> list[PantherEvent]:
    """Return all recorded CloudTrail events."""
    if not recorded_files():
        pytest.skip(f"no recorded CloudTrail in {RECORDED}")
    lines = (line for path in recorded_files() for line in path.open())
    return [PantherEvent(json.loads(line)) for line in lines]
