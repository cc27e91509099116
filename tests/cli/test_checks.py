"""`local-panther replay` as a check: --expect, --write-expected and --fail-on."""

import pytest
import yaml

from tests.builders.replays import ROLE_SEARCH, SUCCEEDED, simulated
from tests.builders.unlisted import CONTENT
from tests.cli.test_command_line import run

pytestmark = pytest.mark.process

MALLORY = "arn:aws:iam::123456789012:user/mallory"
CRITICAL = {"rule": SUCCEEDED, "principal": MALLORY, "severity": "CRITICAL"}
HIGH = {"rule": ROLE_SEARCH, "principal": MALLORY, "severity": "HIGH"}


@pytest.fixture(scope="module")
def trail(tmp_path_factory):
    """An attack that gets in: a HIGH and a CRITICAL alert."""
    return simulated(tmp_path_factory.mktemp("checks") / "trail", succeed=2, ordinary=20)


def replay(*arguments):
    return run("replay", *arguments, "--content", CONTENT)


@pytest.fixture
def file(tmp_path):
    """Write a file of expected alerts and return its path."""

    def write(*alerts):
        path = tmp_path / "expected.yml"
        path.write_text(yaml.safe_dump({"alerts": list(alerts)}))
        return path

    return write


def test_a_replay_meets_the_readable_file_that_it_wrote(trail, tmp_path):
    path = tmp_path / "expected.yml"
    status, _, err = replay(trail, "--write-expected", path)
    assert status == 0 and f"expected alerts: {path}" in err
    assert yaml.safe_load(path.read_text()) == {"alerts": [CRITICAL, HIGH]}
    status, out, err = replay(trail, "--expect", path)
    assert status == 0 and f"{path}: 2 alerts, as expected" in err
    assert out.startswith("read ")


def test_each_missing_and_each_unexpected_alert_has_a_line(trail, file):
    other = HIGH | {"rule": "No.Such.Rule", "principal": ""}
    path = file(HIGH | {"count": 2}, other)
    status, out, err = replay(trail, "--expect", path, "--format", "json")
    assert status == 1 and len(out.splitlines()) == 2
    assert [line for line in err.splitlines() if line.startswith(str(path))] == [
        f"{path}: unexpected: CRITICAL of {SUCCEEDED} by {MALLORY}",
        f"{path}: missing: HIGH of {ROLE_SEARCH} by {MALLORY} (2 expected, 1 found)",
        f"{path}: missing: HIGH of No.Such.Rule without a principal; no rule with this ID ran",
    ]


def test_a_changed_severity_is_a_difference(trail, file):
    status, _, err = replay(trail, "--expect", file(CRITICAL | {"severity": "MEDIUM"}, HIGH))
    assert status == 1
    assert "unexpected: CRITICAL of" in err and "missing: MEDIUM of" in err


def test_a_file_can_expect_no_alert(trail, file):
    path = file()
    assert replay(trail, "--expect", path)[0] == 1
    status, _, err = replay(trail, "--expect", path, "--to", "2026-01-05T09:30")
    assert status == 0 and f"{path}: no alert, as expected" in err


@pytest.mark.parametrize("records", ["none", "of another time", "broken"])
def test_no_expectation_is_met_if_something_was_not_read(records, trail, file, tmp_path):
    read = tmp_path / "records"
    read.mkdir()
    more = ["--to", "2026-01-05T09:30"]
    if records == "of another time":
        more, read = ["--to", "2025-01-05"], trail
    elif records == "broken":
        (read / "broken.json").write_text('{"Records": [7]}')
        more = [trail, *more]
    path = file()
    status, _, err = replay(read, *more, "--expect", path)
    assert status == 1
    assert f"{path}: not everything was read or run, so no expectation is met" in err
    assert "as expected" not in err


def test_nothing_is_written_if_something_was_not_read(tmp_path):
    path = tmp_path / "expected.yml"
    (tmp_path / "empty").mkdir()
    status, _, err = replay(tmp_path / "empty", "--write-expected", path)
    assert status == 1 and f"{path}: not written" in err and not path.exists()


def test_a_malformed_file_ends_the_command_before_anything_is_read(trail, file):
    path = file(CRITICAL, HIGH | {"severity": "BAD"})
    status, out, err = replay(trail, "--expect", path)
    assert (status, out) == (2, "")
    assert err.startswith(f"--expect: {path}: alerts, entry 2: severity: 'BAD' is not CRITICAL")


def test_expecting_and_writing_at_once_is_refused(trail, file):
    status, _, err = replay(trail, "--expect", file(), "--write-expected", file())
    assert status == 2 and "exclude each other" in err


@pytest.mark.parametrize(
    ("severity", "shown"),
    [("critical", "1 CRITICAL"), ("High", "1 CRITICAL, 1 HIGH"), ("INFO", "1 CRITICAL, 1 HIGH")],
)
def test_fail_on_fails_for_alerts_of_the_severity_or_a_higher_one(severity, shown, trail):
    status, _, err = replay(trail, "--fail-on", severity)
    assert status == 1 and err.splitlines()[-1].endswith(f"found alerts: {shown}")


def test_fail_on_ignores_less_severe_alerts(tmp_path):
    trail = simulated(tmp_path / "trail.jsonl", ordinary=20)
    assert replay(trail, "--fail-on", "critical")[0] == 0
    assert replay(trail, "--fail-on", "high")[0] == 1


def test_an_unknown_severity_is_refused(trail):
    status, _, err = replay(trail, "--fail-on", "BAD")
    assert status == 2 and "critical" in err


def test_the_former_option_still_works_and_names_its_successor(trail):
    status, _, err = replay(trail, "--fail-on-alert")
    assert status == 1 and "use --fail-on INFO" in err
    assert replay(trail, "--fail-on-alert", "--to", "2026-01-05T09:30")[0] == 0
