"""Advice: what repeats is work, what happens once deserves a look."""

from hypothesis import given
from hypothesis import strategies as st

from local_panther.content.schedule import Schedule
from local_panther.tuning.advice import LOWEST, MIN_DAYS, MIN_RECORDS, Evidence, advise, some
from local_panther.tuning.habits import Habit, habits
from local_panther.tuning.sweep import Pairing, Series, Window

ENOUGH = Evidence(MIN_RECORDS, MIN_DAYS, 20, 0)
DAY, HOUR = 86_400, 3600
START = 1_767_571_200  # 2026-01-05T00:00:00Z


def advised(*found, threshold=10, evidence=ENOUGH):
    return advise([Habit(name, tuple(highs)) for name, *highs in found], threshold, evidence)


def text(advice):
    return " ".join([advice.headline, *advice.reasons])


def test_the_threshold_is_the_lowest_above_what_repeats():
    advice = advised(("deploy", 7, 7, 6), ("bob", 2, 1))
    assert advice.threshold == 8 and advice.automation == ()
    assert "deploy reaches 7 on 2 days" in advice.headline


def test_pipelines_that_alert_every_day_are_automation_and_raise_the_threshold():
    pipelines = [(f"pipeline{i}", *[12 + i] * 30) for i in range(3)]
    advice = advised(*pipelines, ("bob", 1, 1), ("mallory", 11))
    assert advice.threshold == 15
    assert advice.automation == ("pipeline0", "pipeline1", "pipeline2")
    assert advice.threshold_without == LOWEST
    assert "pipeline0 (30 days)" in text(advice)
    assert "one day, which deserves a look: mallory" in text(advice)
    assert "At 15 the rule would miss what happened once: mallory (11)." in text(advice)


def test_what_happens_once_is_not_automation_and_moves_no_threshold():
    advice = advised(("mallory", 300))
    assert advice.threshold == LOWEST and advice.automation == ()
    assert "deserves a look: mallory" in text(advice)


def test_advice_for_a_lower_threshold_names_who_would_alert():
    advice = advised(("deploy", 6, 6), ("eve", 9))
    assert advice.threshold == 7 and "also alert on one day for: eve (9)" in text(advice)


def test_a_right_threshold_is_kept():
    assert advised(("deploy", 9, 9)).headline.startswith("Keep the threshold at 10")


def test_there_is_no_advice_from_too_little_data():
    for evidence in (Evidence(MIN_RECORDS - 1, 30, 5, 0), Evidence(10**6, MIN_DAYS - 1, 5, 0)):
        advice = advised(("bob", 2, 2), ("eve", 12), evidence=evidence)
        assert advice.threshold is None and advice.headline.startswith("Not enough data")
        assert f"{MIN_RECORDS:,} records and {MIN_DAYS} days" in advice.headline
        assert "eve" in text(advice)


def test_there_is_no_advice_if_something_was_not_read():
    advice = advised(("bob", 2, 2), evidence=Evidence(10**6, 30, 5, 1))
    assert advice.threshold is None and "1 record or file could not be read" in advice.headline


def test_names_are_capped():
    assert some([f"n{i}" for i in range(255)]) == "n0, n1, n2, n3, n4 and 250 more"
    assert some(["a", "b"]) == "a, b"


@given(
    st.lists(st.lists(st.integers(1, 40), max_size=6).map(lambda highs: sorted(highs)[::-1])),
    st.integers(1, 40),
)
def test_nobody_alerts_twice_at_the_advised_threshold_and_it_is_the_lowest(days, threshold):
    found = [(f"p{i}", *highs) for i, highs in enumerate(days)]
    advice = advised(*found, threshold=threshold)
    repeats = [sum(high >= advice.threshold for high in highs) >= 2 for highs in days]
    assert advice.threshold >= LOWEST and not any(repeats)
    lower = advice.threshold - 1
    assert lower < LOWEST or any(sum(high >= lower for high in highs) >= 2 for highs in days)


def burst(start, count):
    return [(start + i * 60, f"r{i}") for i in range(count)]


def test_days_count_from_the_beginning_of_a_run():
    daily = [sighting for day in range(3) for sighting in burst(START + day * DAY, 6)]
    steady = [(START + i * 1200, f"r{i % 3}") for i in range(3 * 72)]
    found = [
        Series("mallory", "x", burst(START + DAY - 600, 20), []),
        Series("deploy", "x", daily, []),
        Series("loop", "x", steady, []),
    ]
    by_subject = {habit.subject: habit for habit in habits(found, Window(HOUR, ()))}
    assert by_subject["mallory"].highs == (20,)
    assert by_subject["deploy"].highs == (6, 6, 6) and by_subject["deploy"].repeated == 6
    assert by_subject["loop"].days(3) == 3


def test_a_burst_without_a_companion_is_not_a_habit():
    series = Series("scanner", "x", burst(START, 20), [START - 3 * HOUR])
    pairing = Pairing(2 * HOUR, Schedule(rate_seconds=1800))
    assert habits([series], Window(HOUR, (pairing,))) == []
