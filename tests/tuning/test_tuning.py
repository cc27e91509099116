"""Tuning: what each threshold and window would have given."""

import itertools
from collections import defaultdict

import pytest
from aws_role_escalation_config import THRESHOLD, WINDOW_MINUTES
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from local_panther.cli import app
from local_panther.errors import ContentError
from local_panther.times import sql_timestamp
from local_panther.tuning.advice import advise
from local_panther.tuning.run import tune
from local_panther.tuning.sweep import Peak, peak, read_series, sweep
from tests.builders.events import REPO, START
from tests.builders.replays import simulated


def row(time, value="r", subject="alice", part="counted", counter="AssumeRole"):
    fields = {"subject": subject, "counter": counter, "value": value, "part": part}
    return {"event_time": sql_timestamp(START + time), **fields}


WINDOW = 60
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
    (verdict,) = sweep(read_series(found), [threshold], [WINDOW])
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
            if len({v for t, v in counted if end - WINDOW <= seconds[t] <= end}) >= threshold
        ]
        groups = []
        for hit in hits:
            if groups and hit - groups[-1][-1] <= WINDOW:
                groups[-1].append(hit)
            else:
                groups.append([hit])
        bursts += len(groups)
        near = 1.5 * WINDOW
        alerts += sum(
            any(abs(c - hit) <= near for c, hit in itertools.product(companions, g)) for g in groups
        )
    assert (verdict.alerts, verdict.bursts) == (alerts, bursts)


def _seconds(entry):
    return float(entry["event_time"][17:19]) + 60 * float(entry["event_time"][14:16])


@given(rows)
def test_more_is_never_easier_to_reach(found):
    verdicts = sweep(read_series(found), range(1, 7), [WINDOW])
    reached = [v.bursts > 0 for v in verdicts]
    assert reached == sorted(reached, reverse=True)
    peaks = [peak(series, WINDOW).count for series in read_series(found)]
    assert sum(reached) == min(max(peaks, default=0), 6)


def a_peak(subject, count, paired=True):
    return Peak(subject, "AssumeRole", count, START, paired)


@pytest.mark.parametrize(
    "peaks, threshold, words",
    [
        ([], 10, "Nobody else failed"),
        ([a_peak("bob", 5)], 10, "no more than half"),
        ([a_peak("bob", 3)], 6, "Twice that is 6"),
        ([a_peak("bob", 1)], 5, "Twice that is 5"),
        ([a_peak("bob", 9)], 10, "leave it out with an inline filter"),
        ([a_peak("eve", 40), a_peak("bob", 3)], 6, "1 would have alerted: eve"),
        ([a_peak("eve", 40, paired=False), a_peak("bob", 5)], 10, "The busiest, bob"),
    ],
)
def test_advice_has_a_reason(peaks, threshold, words):
    advice = advise(peaks, 10)
    assert advice.threshold == threshold and words in advice.reason


def test_a_near_miss_shows_at_the_threshold_that_would_have_caught_it(tmp_path):
    trail = simulated(tmp_path / "trail", roles=THRESHOLD - 1, retries=40, ordinary=3000)
    tuning = tune([str(trail)], REPO)
    alerts = {v.threshold: v.alerts for v in tuning.verdicts if v.window == WINDOW_MINUTES * 60}
    assert all(alerts[threshold] == 1 for threshold in alerts if threshold < THRESHOLD)
    assert alerts[THRESHOLD] == 0
    first = tuning.peaks[0]
    assert (first.subject.split("/")[-1], first.count, first.paired) == (
        "mallory",
        THRESHOLD - 1,
        True,
    )
    assert (tuning.threshold, tuning.window) == (THRESHOLD, WINDOW_MINUTES)
    assert "mallory" in tuning.advice.reason and tuning.advice.threshold == THRESHOLD


def test_records_of_every_age_count(tmp_path):
    old = simulated(tmp_path / "old", start=START - 400 * 86_400)
    new = simulated(tmp_path / "new", seed=2)
    tuning = tune([str(old), str(new)], REPO)
    assert max(v.alerts for v in tuning.verdicts) == 2


def test_a_rule_without_a_tuning_query_is_refused_with_those_that_have_one(tmp_path):
    trail = str(simulated(tmp_path / "trail"))
    with pytest.raises(ContentError, match=r"rules that can be tuned: AWS\.CloudTrail\.Multiple"):
        tune([trail], REPO, "AWS.CloudTrail.IAMListRoles")


def test_the_command_prints_tables_advice_and_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(REPO)
    trail, page = simulated(tmp_path / "trail"), tmp_path / "tuning.html"
    done = CliRunner().invoke(app, ["tune", str(trail), "--report", str(page)])
    assert done.exit_code == 0
    for text in ("Threshold", "240 min", "The busiest, in 60 minutes", "mallory", "Set it to"):
        assert text in done.stdout
    assert "Alerts by threshold and window" in page.read_text()
    unwritable = ["tune", str(trail), "--report", str(tmp_path / "missing" / "x.html")]
    assert CliRunner().invoke(app, unwritable).exit_code == 2
