"""The sliding window of distinct values: exact and bounded for every stream."""

import contextlib
import itertools
from collections import Counter
from unittest.mock import patch

import botocore.client
import distinct_window_helpers as helpers
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from distinct_window_helpers import (
    Sighting,
    essential,
    fullest_window,
    may_lack_values,
    record,
    shorten,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panther_detection_helpers import caching

from tests.builders.events import START
from tests.scale import examples

WINDOW = 3600
THRESHOLD = 4  # small, so that random streams often reach it


def reaches(sightings, window=WINDOW, threshold=THRESHOLD) -> bool:
    """Return, by the definition, whether some window (both ends inclusive) has enough values."""
    return any(
        len({s.value for s in sightings if start.time <= s.time <= start.time + window})
        >= threshold
        for start in sightings
    )


def is_hit(sighting, subject="subject") -> bool:
    seen = record(subject, sighting, WINDOW, THRESHOLD)
    found = fullest_window(seen, sighting.time, WINDOW)
    return len({s.value for s in found}) >= THRESHOLD


def forget() -> None:
    helpers._known.clear()


def stored_bytes(subject: str) -> int:
    return sum(len(member) for member in caching.get_string_set(subject))


# Times gather around the edges of windows and blocks, to the second.
times = st.builds(
    lambda blocks, offset: START + blocks * WINDOW // 2 + offset,
    st.integers(0, 5),
    st.integers(-2, 2) | st.integers(0, WINDOW // 2),
)
values = st.sampled_from([f"role-{i}" for i in range(7)])
streams = st.lists(st.builds(Sighting, times, values, st.just(())), max_size=30)
long_streams = st.lists(
    st.builds(
        lambda blocks, offset, value: Sighting(START + blocks * WINDOW // 2 + offset, value),
        st.integers(0, 48),
        st.integers(-2, 2) | st.integers(0, WINDOW // 2),
        values,
    ),
    max_size=60,
)
SUBJECTS = (f"subject {i}" for i in itertools.count())


class TestVerdict:
    @settings(
        max_examples=examples(150, 10_000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(streams, st.randoms(use_true_random=False))
    def test_the_verdict_equals_the_definition_in_any_order_with_duplicates(
        self, store, stream, random
    ):
        forget()
        subject = next(SUBJECTS)
        arriving = stream + random.sample(stream, len(stream) // 3)
        random.shuffle(arriving)
        assert any(is_hit(s, subject) for s in arriving) == reaches(stream)

    @settings(
        max_examples=examples(60, 5000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(long_streams, st.data())
    def test_the_verdict_is_exact_over_a_day_of_deliveries_up_to_two_hours_late(
        self, store, stream, data
    ):
        """Only sightings outside every window of events still to come may be removed."""
        forget()
        subject = next(SUBJECTS)
        delays = st.sampled_from([0, 1, 60, 3600, helpers.MAX_DELAY])
        delivered = [(s.time + data.draw(delays), i, s) for i, s in enumerate(stream)]
        allowance = data.draw(st.sampled_from([-1, helpers.MAX_INESSENTIAL_BYTES]))
        with patch.object(helpers, "MAX_INESSENTIAL_BYTES", allowance):
            hits = [is_hit(s, subject) for _, _, s in sorted(delivered)]
        assert any(hits) == reaches(stream)

    @settings(
        max_examples=examples(100, 3000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(streams, st.randoms(use_true_random=False))
    def test_the_verdict_is_the_same_when_workers_share_the_stream(self, store, stream, random):
        subject = next(SUBJECTS)
        memories = [helpers.OrderedDict() for _ in range(3)]
        random.shuffle(stream)
        hits = []
        for sighting in stream:
            with patch.object(helpers, "_known", random.choice(memories)):
                hits.append(is_hit(sighting, subject))
        assert any(hits) == reaches(stream)

    @settings(
        max_examples=examples(100, 3000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(streams, st.randoms(use_true_random=False))
    def test_the_verdict_survives_eager_cleaning(self, store, stream, random):
        """Without an allowance, every write removes all members that are not essential."""
        forget()
        subject = next(SUBJECTS)
        random.shuffle(stream)
        with patch.object(helpers, "MAX_INESSENTIAL_BYTES", -1):
            assert any(is_hit(s, subject) for s in stream) == reaches(stream)

    def test_both_ends_of_the_window_count(self, store):
        spread = [Sighting(START + i * WINDOW // 3, f"role-{i}") for i in range(4)]
        assert [is_hit(s) for s in spread] == [False, False, False, True]

    def test_a_second_more_than_the_window_does_not_count(self, store):
        spread = [Sighting(START + i * (WINDOW // 3 + 1), f"role-{i}") for i in range(4)]
        assert not any(is_hit(s) for s in spread)

    def test_stale_members_that_were_never_deleted_are_ignored(self, store):
        stale = {f"{START - 2 * 86_400 + i}\trole-{i}" for i in range(20)}
        caching.put_string_set("subject", stale, epoch_seconds=1_000_000_001)
        assert not is_hit(Sighting(START, "role-new"))

    def test_members_of_an_unknown_form_are_ignored(self, store):
        caching.put_string_set("subject", {"", "x", "12\t", "\trole"} - {""})
        assert not is_hit(Sighting(START, "role-new"))

    def test_repeats_of_one_role_cannot_hide_a_burst(self, store):
        for i in range(400):
            assert not is_hit(Sighting(START + i, "decoy", ("AccessDenied", "203.0.113.10", "s")))
        hits = [is_hit(Sighting(START + 400 + i, f"role-{i}")) for i in range(3)]
        assert hits == [False, False, True]


class TestEssential:
    @given(streams, st.integers(1, 6))
    def test_essential_members_decide_every_window(self, stream, threshold):
        """Without the other members, every window still reaches the threshold or does not."""
        members = {helpers._encode(s) for s in stream}
        kept = helpers._decode(essential(members, WINDOW, threshold))
        edges = {s.time + d for s in stream for d in (-WINDOW, -1, 0, 1)}
        for start in edges:
            inside = {s.value for s in stream if start <= s.time <= start + WINDOW}
            left = {s.value for s in kept if start <= s.time <= start + WINDOW}
            assert (len(inside) >= threshold) == (len(left) >= threshold)
            assert left == inside or len(inside) >= threshold

    @given(streams, streams)
    def test_essential_members_are_essential_among_any_part(self, stream, more):
        part = {helpers._encode(s) for s in stream}
        whole = part | {helpers._encode(s) for s in more}
        lost = (essential(whole, WINDOW, THRESHOLD) & part) - essential(part, WINDOW, THRESHOLD)
        assert not lost


class TestStore:
    def test_the_item_stays_small_under_a_burst_of_many_roles(self, store):
        for i in range(600):
            record("subject", Sighting(START + i * 20, f"{i:012}:role/{'n' * 64}"), WINDOW, 10)
        assert stored_bytes("subject") < 16 * 1024

    def test_the_item_stays_small_under_the_largest_members(self, store):
        details = ("x" * 500, "y" * 500, "z" * 500)
        for i in range(600):
            record("subject", Sighting(START + i * 20, f"{i}{'n' * 5000}", details), WINDOW, 10)
        assert stored_bytes("subject") < 16 * 1024

    @pytest.mark.parametrize(("threshold", "documented"), [(10, 20_000), (30, 57_000)])
    def test_an_item_of_five_full_blocks_has_the_documented_size(
        self, store, threshold, documented
    ):
        """The largest possible item: members of full length at both ends of five blocks."""
        now = START // WINDOW * WINDOW + 53 * 60  # seven minutes of the first block and the last
        edges = [now + helpers.MAX_FUTURE - 8 * 60 + WINDOW * n for n in range(-3, 1)]
        times = [edge + second for edge in edges for second in range(-threshold, threshold)]
        times += range(now - 3 * WINDOW, now - 3 * WINDOW + threshold)
        times += range(now + helpers.MAX_FUTURE - threshold, now + helpers.MAX_FUTURE)
        sizes = []
        with arriving_at(now):
            for i, time in enumerate(times):
                sighting = Sighting(time, f"{i}{'n' * 99}", ("x" * 99,))
                record("subject", sighting, WINDOW, threshold)
                sizes.append(stored_bytes("subject"))
        assert 0.9 * documented < max(sizes) < documented

    def test_the_store_is_written_once_for_an_attempt_and_not_for_a_known_one(self, dynamodb):
        calls = Counter()
        original = botocore.client.BaseClient._make_api_call

        def counting(client, operation, arguments):
            calls[operation] += 1
            return original(client, operation, arguments)

        is_hit(Sighting(START, "role-0"))
        with patch.object(botocore.client.BaseClient, "_make_api_call", counting):
            is_hit(Sighting(START + 10, "role-0"))
            assert calls == {"UpdateItem": 1}
            is_hit(Sighting(START + 10, "role-0"))
            is_hit(Sighting(START + 5, "role-0"))
            assert calls == {"UpdateItem": 1}

    def written(self, sighting, **options) -> bool:
        """Record a sighting and return whether the store was written."""
        before = set(caching.get_string_set("subject"))
        record("subject", sighting, WINDOW, THRESHOLD, **options)
        return set(caching.get_string_set("subject")) != before

    def test_the_store_is_not_written_for_one_more_value_between_many(self, store):
        block = START - START % WINDOW
        for i in range(0, 100, 10):
            assert self.written(Sighting(block + i, f"role-{i}"))
        assert not self.written(Sighting(block + 45, "role-between"))
        assert self.written(Sighting(block + 95, "role-at-the-end"))

    def test_different_details_of_the_same_second_are_both_stored(self, store):
        assert self.written(Sighting(START, "role", ("AccessDenied",)))
        assert self.written(Sighting(START, "role", ("ExpiredToken",)))

    @pytest.mark.parametrize("direction", [1, -1])
    def test_a_value_that_recurs_within_the_spacing_is_left_out(self, store, direction):
        assert self.written(Sighting(START, "role"), spacing=60)
        assert not self.written(Sighting(START + 59 * direction, "role"), spacing=60)
        assert self.written(Sighting(START + 59 * direction, "other"), spacing=60)
        assert self.written(Sighting(START + 60 * direction, "role"), spacing=60)

    def test_a_known_sighting_is_answered_from_memory_with_all_others(self, store):
        for i in range(THRESHOLD):
            record("subject", Sighting(START + i, f"role-{i}"), WINDOW, THRESHOLD)
        caching.kv_table().delete()
        seen = record("subject", Sighting(START, "role-0"), WINDOW, THRESHOLD)
        assert set(seen) == {Sighting(START + i, f"role-{i}") for i in range(THRESHOLD)}

    def test_the_store_is_asked_again_when_the_memory_is_old(self, store):
        assert self.written(Sighting(START, "role"))
        caching.kv_table().delete_item(Key={"key": "subject"})
        with patch.object(helpers.wall_clock, "time", lambda: 0.0):
            assert helpers.known("subject")  # by this clock it was written in the future
        later = helpers.wall_clock.time() + helpers.KNOWN_FOR + 1
        with patch.object(helpers.wall_clock, "time", lambda: later):
            assert not helpers.known("subject")
            assert self.written(Sighting(START, "role"))

    def test_a_clean_up_leaves_the_same_in_store_memory_and_answer(self, store):
        everything = set()
        with patch.object(helpers, "MAX_INESSENTIAL_BYTES", -1):
            for i in range(40):
                sighting = Sighting(START + i, f"role-{i}")
                everything.add(helpers._encode(sighting))
                answer = record("subject", sighting, WINDOW, THRESHOLD)
                stored = caching.get_string_set("subject")
                assert set(answer) == set(helpers._decode(stored)) == set(helpers.known("subject"))
                assert set(stored) == essential(everything, WINDOW, THRESHOLD)

    def test_the_item_is_cleaned_up_only_in_bulk(self, store):
        original = helpers.remove_from_string_set
        with patch.object(helpers, "remove_from_string_set", wraps=original) as removal:
            for i in range(150):
                record("subject", Sighting(START + i, f"role-{i}"), WINDOW, THRESHOLD)
        assert 1 <= removal.call_count <= 5

    def test_a_clean_up_removes_only_what_no_late_event_can_need(self):
        oldest = START - WINDOW - helpers.MAX_DELAY
        young, old, new = f"{oldest}\ta", f"{oldest - 1}\tb", f"{START}\tc"
        bounds = {"MAX_INESSENTIAL_BYTES": -1, "MAX_OLD_BYTES": 0}
        with patch.multiple(helpers, **bounds):
            assert helpers._surplus(frozenset([young, old, new]), WINDOW, THRESHOLD) == {old}

    def test_the_item_lives_as_long_as_a_late_event_can_need_it(self, store):
        now = helpers.wall_clock.time()
        with patch.object(helpers, "MAX_INESSENTIAL_BYTES", -1):
            for i in range(30):
                is_hit(Sighting(START + i, f"role-{i}"))
                (item,) = caching.kv_table().scan()["Items"]
                life = WINDOW + helpers.MAX_DELAY + helpers.TTL_SLACK
                assert life <= int(item["expiresAt"]) - int(now) <= life + 120

    def test_the_memory_of_this_process_is_bounded_and_holds_the_latest(self, store):
        with patch.object(helpers, "MAX_KNOWN_SUBJECTS", 3):
            for i in range(10):
                is_hit(Sighting(START, "role-0"), f"subject {i}")
            assert list(helpers._known) == ["subject 7", "subject 8", "subject 9"]

    def test_an_item_that_is_not_a_string_set_raises(self, store):
        caching.kv_table().put_item(Item={"key": "subject", "stringSet": 7})
        with pytest.raises(ClientError):
            is_hit(Sighting(START, "role-0"))

    def test_a_missing_table_raises(self, store):
        caching.kv_table().delete()
        with pytest.raises(ClientError):
            is_hit(Sighting(START, "role-0"))

    @pytest.mark.parametrize(
        "error",
        [
            ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem"),
            EndpointConnectionError(endpoint_url="https://example.com"),
        ],
    )
    def test_a_clean_up_that_fails_loses_no_verdict(self, store, error):
        failing = patch.object(helpers, "remove_from_string_set", side_effect=error)
        with failing as removal, patch.object(helpers, "MAX_INESSENTIAL_BYTES", -1):
            hits = [is_hit(Sighting(START + i, f"role-{i}")) for i in range(30)]
        assert hits == [False] * (THRESHOLD - 1) + [True] * (31 - THRESHOLD)
        assert removal.called


DAY = 86_400
NOW = START + 30 * DAY


@contextlib.contextmanager
def arriving_at(now):
    """Set the time at which events arrive inside the context."""
    with patch.object(helpers, "clock", lambda: now):
        yield


@st.composite
def deliveries(draw):
    """Draw a day of arrivals: events in time, some of them a burst, and events with wrong times."""
    arrivals = []
    for _ in range(draw(st.integers(0, 25))):
        arrives = NOW + draw(st.integers(-2 * WINDOW, 2 * WINDOW))
        far = st.sampled_from([1, -1, 3, -3, 24, -24, 8760, -8760])
        wrong = draw(far) * 3600 + draw(st.integers(-WINDOW, WINDOW))
        arrivals.append((arrives, Sighting(max(arrives + wrong, 0), f"wrong-{len(arrivals)}")))
    names = st.sampled_from([f"role-{i}" for i in range(6)])
    for _ in range(draw(st.integers(0, 25))):
        time = NOW + draw(st.integers(-2 * WINDOW, 2 * WINDOW))
        delay = draw(st.sampled_from([0, 60, 900, helpers.MAX_DELAY]))
        arrivals.append((time + delay, Sighting(time, draw(names))))
    return sorted(arrivals)


class TestWrongClocks:
    """Events dated after their arrival or long before it, which must not hide others."""

    @settings(
        max_examples=examples(120, 10_000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(deliveries(), st.sampled_from([-1, helpers.MAX_INESSENTIAL_BYTES]))
    def test_wrong_clocks_hide_no_burst_and_the_item_stays_bounded(
        self, store, arrivals, allowance
    ):
        forget()
        subject, hits, real = next(SUBJECTS), [], []
        for arrives, sighting in arrivals:
            with (
                arriving_at(arrives),
                patch.object(helpers, "MAX_INESSENTIAL_BYTES", allowance),
            ):
                hits.append(is_hit(sighting, subject))
            if sighting.time <= arrives + helpers.MAX_FUTURE:
                real.append(sighting)
        assert any(hits) >= reaches([s for s in real if s.value.startswith("role")])
        assert not any(hits) or reaches(real)
        latest = max((arrives for arrives, _ in arrivals), default=0)
        stored = helpers._decode(caching.get_string_set(subject))
        assert all(s.time <= latest + helpers.MAX_FUTURE for s in stored)

    @pytest.mark.parametrize("ahead", [3, 24, 8760])
    @pytest.mark.parametrize("name", ["role", "r" * 82])
    def test_one_wrong_time_a_day_hides_no_daily_burst(self, store, ahead, name):
        """With the largest stored time as the present, none of 30 daily bursts was recognised."""
        for day in range(30):
            start = NOW + day * DAY
            with arriving_at(start):
                is_hit(Sighting(start + ahead * 3600, "wrong"))
            hits = []
            for i in range(THRESHOLD):
                with arriving_at(start + 60 * i):
                    value = f"{i}{day}{name}"[:82]
                    hits.append(is_hit(Sighting(start + 60 * i, value)))
            assert hits == [False] * (THRESHOLD - 1) + [True]
        assert stored_bytes("subject") < 16 * 1024
        latest = max(s.time for s in helpers._decode(caching.get_string_set("subject")))
        assert latest < NOW + 30 * DAY

    def test_future_times_of_another_version_are_removed_by_the_next_clean_up(self, store):
        caching.put_string_set("subject", {f"{NOW + DAY + i}\twrong-{i}" for i in range(200)})
        with arriving_at(NOW):
            hits = [is_hit(Sighting(NOW - 60 + i, f"role-{i}")) for i in range(THRESHOLD)]
        assert hits[-1]
        assert {s.value for s in helpers._decode(caching.get_string_set("subject"))} == {
            f"role-{i}" for i in range(THRESHOLD)
        }

    @pytest.mark.parametrize("slack", [0, 1])
    def test_clocks_may_differ_by_a_quarter_of_an_hour(self, store, slack):
        with arriving_at(NOW):
            is_hit(Sighting(NOW + 900 + slack, "role"))
        assert bool(caching.get_string_set("subject")) is (slack == 0)

    @settings(
        max_examples=examples(30, 3000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.integers(5, 400), st.integers(0, 3), st.randoms(use_true_random=False))
    def test_a_backlog_and_the_live_events_beside_it_are_both_counted(
        self, store, age, quiet, random
    ):
        """The backlog is hours or days late and in order; the same principal also fails now."""
        forget()
        subject, hits = next(SUBJECTS), {"old": [], "live": []}
        for i in range(60):
            now, old = NOW + 120 * i, NOW - age * 3600 + 60 * i
            with arriving_at(now):
                for _ in range(random.randrange(3)):
                    hits["live"].append(is_hit(Sighting(now, f"live-{i % 3}"), subject))
                backlog = i % 20 if i % 20 < THRESHOLD + quiet - 3 else 0
                hits["old"].append(is_hit(Sighting(old, f"old-{i // 20}{backlog}"), subject))
        assert any(hits["old"][:20]) == (quiet >= 3)
        assert stored_bytes(subject) < 16 * 1024

    def test_old_events_are_counted_however_old(self, store):
        """As in a replay of last year's records."""
        with arriving_at(NOW + 365 * DAY):
            hits = [is_hit(Sighting(NOW + i, f"role-{i}")) for i in range(THRESHOLD)]
        assert hits == [False] * (THRESHOLD - 1) + [True]


class TestMayLackValues:
    @settings(
        max_examples=examples(300, 20_000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(streams, st.randoms(use_true_random=False))
    def test_a_number_of_values_that_is_too_low_is_always_reported(self, store, stream, random):
        forget()
        subject = next(SUBJECTS)
        random.shuffle(stream)
        with patch.object(helpers, "MAX_INESSENTIAL_BYTES", -1):
            for i, sighting in enumerate(stream):
                seen = record(subject, sighting, WINDOW, THRESHOLD)
                found = fullest_window(seen, sighting.time, WINDOW)
                truth = fullest_window(stream[: i + 1], sighting.time, WINDOW)
                counted, true = (len({s.value for s in some}) for some in (found, truth))
                assert counted <= true
                lacks = may_lack_values(seen, found, sighting.time, WINDOW, THRESHOLD)
                assert lacks or counted == true

    def test_less_than_two_thresholds_in_one_block_lack_nothing(self):
        burst = [Sighting(START + i, f"role-{i}") for i in range(2 * THRESHOLD - 1)]
        found = fullest_window(burst, START, WINDOW)
        assert not may_lack_values(burst, found, START, WINDOW, THRESHOLD)


class TestFullestWindow:
    def test_the_fullest_window_of_a_single_sighting_is_that_sighting(self):
        alone = Sighting(START, "role")
        assert fullest_window([alone], START, WINDOW) == [alone]

    def test_the_fullest_window_is_empty_if_nothing_is_near(self):
        assert fullest_window([], START, WINDOW) == []
        assert fullest_window([Sighting(START + WINDOW + 1, "role")], START, WINDOW) == []


class TestShorten:
    def test_ordinary_values_are_not_shortened(self):
        value = f"123456789012:role/{'n' * 64}"
        assert shorten(value) == value

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_different_values_stay_different_in_printable_characters(self, one, other):
        assert shorten(one).isascii() and shorten(one).isprintable() and len(shorten(one)) <= 82
        assert (shorten(one) == shorten(other)) == (one == other)
