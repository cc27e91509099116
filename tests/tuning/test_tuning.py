"""Tuning: the counts for each threshold and window."""

import itertools
import json
from collections import defaultdict

import pytest
from aws_role_escalation_config import THRESHOLD, WINDOW_MINUTES
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from local_panther.cli import app
from local_panther.content.schedule import Schedule
from local_panther.errors import ContentError
from local_panther.records.trail import Trail
from local_panther.times import sql_timestamp
from local_panther.tuning.run import tune
from local_panther.tuning.sweep import Pairing, Window, peak, read_series, sweep
from tests.builders.events import REPO, START
from tests.builders.replays import simulated
from tests.builders.unlisted import copy_content


def row(time, value="r", subject="alice", part="counted", counter="AssumeRole"):
    fields = {"subject": subject, "counter": counter, "value": value, "part": part}
    return {"event_time": sql_timestamp(START + time), **fields}


NEAR = 90
WINDOW = Window(60, (Pairing(NEAR, Schedule(rate_seconds=1)),))
rows = st.lists(
    st.builds(
        row,
        st.integers(0, 400),
        st.sampled_from("uvwxyz"),
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["counted", "counted", "counted", "companion"]),
    ),
    max_size=40,
)


@given(rows, st.integers(1, 5))
def test_the_sweep_equals_a_count_by_hand(found, threshold):
    (trial,) = sweep(read_series(found), [threshold], [WINDOW])
    by_subject = defaultdict(list)
    for entry in found:
        by_subject[entry["subject"]].append(entry)
    alerts, bursts = 0, 0
    for entries in by_subject.values():
        counted = [(e["event_time"], e["value"]) for e in entries if e["part"] == "counted"]
        seconds = {e["event_time"]: _seconds(e) for e in entries}
        companions = [_seconds(e) for e in entries if e["part"] == "companion"]
        ends = sorted({seconds[time] for time, _ in counted})
        hits = [
            end
            for end in ends
            if len({v for t, v in counted if end - WINDOW.seconds <= seconds[t] <= end})
            >= threshold
        ]
        groups = []
        for hit in hits:
            if groups and hit - groups[-1][-1] <= WINDOW.seconds:
                groups[-1].append(hit)
            else:
                groups.append([hit])
        bursts += len(groups)
        alerts += sum(
            any(abs(c - hit) <= NEAR for c, hit in itertools.product(companions, g)) for g in groups
        )
    assert (trial.alerts, trial.bursts) == (alerts, bursts)


def _seconds(entry):
    return float(entry["event_time"][17:19]) + 60 * float(entry["event_time"][14:16])


@given(rows)
def test_a_higher_threshold_is_never_easier_to_reach(found):
    trials = sweep(read_series(found), range(1, 7), [WINDOW])
    reached = [v.bursts > 0 for v in trials]
    assert reached == sorted(reached, reverse=True)
    peaks = [peak(series, WINDOW).count for series in read_series(found)]
    assert sum(reached) == min(max(peaks, default=0), 6)


def test_a_near_miss_shows_at_the_threshold_that_would_have_caught_it(tmp_path):
    trail = simulated(tmp_path / "trail", roles=THRESHOLD - 1, retries=40, ordinary=3000)
    tuning = tune(Trail([str(trail)]), REPO)
    alerts = {v.threshold: v.alerts for v in tuning.trials if v.window == WINDOW_MINUTES * 60}
    assert all(alerts[threshold] == 1 for threshold in alerts if threshold < THRESHOLD)
    assert alerts[THRESHOLD] == 0
    first = tuning.peaks[0]
    assert (first.subject.split("/")[-1], first.count, first.paired) == (
        "mallory",
        THRESHOLD - 1,
        True,
    )
    assert (tuning.settings.threshold, tuning.settings.window) == (THRESHOLD, WINDOW_MINUTES)


@pytest.mark.long
def test_a_window_that_the_rule_does_not_import_counts(tmp_path):
    copy = copy_content(tmp_path / "content")
    done = CliRunner().invoke(app, ["set", "WINDOW_MINUTES=240", "--content", str(copy)])
    assert done.exit_code == 0
    trail = simulated(tmp_path / "trail")
    assert tune(Trail([str(trail)]), copy).settings.window == 240


def test_records_of_every_age_count(tmp_path):
    old = simulated(tmp_path / "old", start=START - 400 * 86_400)
    new = simulated(tmp_path / "new", seed=2)
    tuning = tune(Trail([str(old), str(new)]), REPO)
    assert max(v.alerts for v in tuning.trials) == 2


def test_a_rule_without_a_tuning_query_is_refused_with_those_that_have_one(tmp_path):
    trail = str(simulated(tmp_path / "trail"))
    with pytest.raises(ContentError, match=r"rules that can be tuned: AWS\.CloudTrail\.Multiple"):
        tune(Trail([trail]), REPO, "AWS.CloudTrail.IAMListRoles")


def test_the_command_prints_tables_advice_and_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(REPO)
    trail, page = simulated(tmp_path / "trail"), tmp_path / "tuning.html"
    done = CliRunner().invoke(app, ["tune", str(trail), "--report", str(page)])
    assert done.exit_code == 0
    for text in (
        "Threshold",
        "240 min",
        f"The busiest principals in {WINDOW_MINUTES} minutes",
        "mallory",
        "Not enough data",
        "*1 (1)",
    ):
        assert text in done.stdout
    assert "Alerts by threshold, a line for each window" in page.read_text()
    unwritable = ["tune", str(trail), "--report", str(tmp_path / "missing" / "x.html")]
    assert CliRunner().invoke(app, unwritable).exit_code == 2


def test_the_command_writes_json(tmp_path, monkeypatch):
    monkeypatch.chdir(REPO)
    done = CliRunner().invoke(app, ["tune", str(simulated(tmp_path / "t")), "--format", "json"])
    found = json.loads(done.stdout)
    assert (found["threshold"], found["window_minutes"]) == (THRESHOLD, WINDOW_MINUTES)
    assert found["advice"]["threshold"] is None
    assert found["peaks"][0]["count"] == 12 and found["trials"]
