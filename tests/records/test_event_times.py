"""Checking eventTimes together gives the same result as checking each by itself."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_panther.records.event_times import ALL_USUAL, EventTimes
from tests.scale import examples

moments = st.datetimes(datetime(1969, 12, 30), datetime(2101, 1, 1)).map(
    lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")
)
digits = st.from_regex(
    r"20[0-9]{2}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z", fullmatch=True
)
others = st.sampled_from(
    [
        "",
        "2026-01-05",
        "2026-01-05T10:00:00",
        "2026-01-05T10:00:00.123Z",
        "2026-01-05T10:00:00+01:00",
        "2026-01-05T10:00:00Z ",
        "2026-01-05T10:00:00Z 2026-01-05T10:00:01Z",
        "２026-01-05T10:00:00Z",
    ]
)
texts = moments | digits | others


@settings(max_examples=examples(300, 5000))
@given(st.lists(texts, min_size=1))
@example(["2026-02-30T10:00:00Z", "2026-01-05T10:00:00Z", "2026-03-05T10:00:00Z"])
@example(["2026-01-05T10:00:00Z", "2026-01-05T09:00:00Z", "2026-01-06T08:00:00Z"])
def test_ends_are_the_first_and_last_time_or_none_if_any_is_invalid(found):
    times = EventTimes()
    each = [EventTimes().read(text) for text in found]
    expected = None if None in each else (min(each), max(each))
    assert times.ends(set(found)) == expected


@given(moments | digits)
@example("2026-02-30T10:00:07Z")
def test_a_usual_time_is_the_same_read_by_its_minute(text):
    if ALL_USUAL.fullmatch(f"{text} "):
        assert EventTimes().read_usual(text) == EventTimes().read(text)


def test_the_cache_of_times_is_bounded(monkeypatch):
    monkeypatch.setattr("local_panther.records.event_times.MAX_CACHED", 10)
    times, start = EventTimes(), datetime(2026, 1, 5, tzinfo=UTC)
    for second in range(1000):
        moment = start + timedelta(seconds=second)
        assert times.read(moment.isoformat()) == moment.timestamp()
        assert len(times._known) <= 11
