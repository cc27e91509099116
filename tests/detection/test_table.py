"""The key-value store answers like the ordinary table of boto3, emulated by moto."""

import time
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from panther_detection_helpers import caching

from local_panther.detection.clock import EventClock
from local_panther.detection.store import key_value_store, ordinary_table
from tests.builders.events import START
from tests.scale import examples

HOUR, DAY = 3600, 86_400

keys = st.sampled_from(["a", "b"])
members = st.sampled_from(["x", "y", "ü\n"])
lives = st.sampled_from([60, HOUR, None])
calls = st.one_of(
    st.tuples(st.just("add_to_string_set"), keys, members | st.lists(members), lives),
    st.tuples(st.just("remove_from_string_set"), keys, members | st.lists(members), lives),
    st.tuples(st.just("put_string_set"), keys, st.lists(members), lives),
    st.tuples(st.just("get_string_set"), keys, st.booleans()),
    st.tuples(st.just("reset_string_set"), keys),
    st.tuples(st.just("increment_counter"), keys, st.sampled_from([1, 2, -5, 10**12]), lives),
    st.tuples(st.just("get_counter"), keys, st.booleans()),
    st.tuples(st.just("reset_counter"), keys),
    st.tuples(st.just("put_dictionary"), keys, st.just({"n": [1, None], "s": "ü"}), lives),
    st.tuples(st.just("get_dictionary"), keys, st.booleans()),
    st.tuples(st.just("set_key_expiration"), keys, st.sampled_from([60, HOUR])),
)


def outcome(name, *arguments):
    """Return the result of a call, or the code of its error.

    The result of a removal is ignored: if nothing is removed, moto leaves the set out of its
    answer, while DynamoDB returns it.
    """
    try:
        result = getattr(caching, name)(*arguments)
        if name == "remove_from_string_set":
            return None
        return sorted(result) if isinstance(result, (set, frozenset)) else result
    except ClientError as error:
        return error.response["Error"]["Code"]


def stored(table):
    """Return all items; expiry is in tens of minutes, as both tables are not read at one moment."""
    items = {item["key"]: dict(item) for item in table.scan()["Items"]}
    for item in items.values():
        if "expiresAt" in item:
            # Relative to now, as each expiry was set relative to its call
            item["expiresAt"] = round((float(item["expiresAt"]) - time.time()) / 600)
    return items


@settings(max_examples=examples(25, 400))
@given(st.lists(calls, max_size=12))
def test_the_helpers_get_the_same_answers_as_from_moto(sequence):
    with ordinary_table() as table:
        ordinary = [outcome(*call) for call in sequence], stored(table)
    with key_value_store():
        assert ([outcome(*call) for call in sequence], stored(caching.kv_table())) == ordinary


def test_an_expired_item_keeps_its_contents_until_it_is_deleted():
    """This is DynamoDB's behaviour; moto leaves an unchanged set out of its answer."""
    with key_value_store():
        caching.put_string_set("a", {"stale"}, epoch_seconds=START)
        assert caching.add_to_string_set("a", "x") == {"stale", "x"}
        caching.put_string_set("b", {"stale"}, epoch_seconds=START)
        assert caching.add_to_string_set("b", "stale", epoch_seconds=-HOUR) == {"stale"}
        caching.increment_counter("c", 3, epoch_seconds=START)
        assert caching.increment_counter("c") == 1
        assert caching.get_counter("c") == 4


OTHER_CALLS = [
    ("put_item", {"Item": {"key": "a", "n": Decimal("1.5"), "m": {"l": [True, None, b"b"]}}}),
    ("put_item", {"Item": {"key": "a"}, "ConditionExpression": Attr("key").not_exists()}),
    ("put_item", {"Item": {"key": ""}}),
    ("put_item", {"Item": {"n": 1}}),
    ("get_item", {"Key": {"key": "a"}}),
    ("get_item", {"Key": {"key": "none"}}),
    ("get_item", {"Key": {"key": "a"}, "ProjectionExpression": "m.l[1], n"}),
    (
        "update_item",
        {
            "Key": {"key": "a"},
            "UpdateExpression": "SET #c = if_not_exists(#c, :z) + :one, x = :s",
            "ExpressionAttributeNames": {"#c": "count"},
            "ExpressionAttributeValues": {":z": 0, ":one": 1, ":s": "text"},
            "ReturnValues": "ALL_NEW",
        },
    ),
    (
        "update_item",
        {
            "Key": {"key": "a"},
            "UpdateExpression": "SET x = :new",
            "ConditionExpression": "x = :old",
            "ExpressionAttributeValues": {":new": 2, ":old": 1},
        },
    ),
    (
        "update_item",
        {
            "Key": {"key": "a"},
            "UpdateExpression": "ADD #c :s",
            "ExpressionAttributeNames": {"#c": "count"},
            "ExpressionAttributeValues": {":s": {"wrong type"}},
        },
    ),
    ("update_item", {"Key": {"key": "a"}, "UpdateExpression": "SET nonsense"}),
    ("delete_item", {"Key": {"key": "a"}, "ReturnValues": "ALL_OLD"}),
    ("query", {"KeyConditionExpression": Key("key").eq("a")}),
    ("scan", {"FilterExpression": Attr("n").gt(1)}),
]


@settings(max_examples=examples(25, 200))
@given(st.lists(st.sampled_from(OTHER_CALLS), max_size=6))
def test_other_calls_get_the_same_answers_as_from_moto(sequence):
    def answers(table):
        found = []
        for name, arguments in sequence:
            try:
                answer = getattr(table, name)(**arguments)
                found.append({k: answer.get(k) for k in ("Item", "Items", "Attributes")})
            except ClientError as error:
                found.append(error.response["Error"]["Code"])
        return found, stored(table)

    with ordinary_table() as table:
        ordinary = answers(table)
    with key_value_store():
        assert answers(caching.kv_table()) == ordinary


@pytest.mark.parametrize("length", [10, 200_000], ids=["one page", "two pages"])
def test_a_scan_has_the_items_counts_and_pages_of_moto(length):
    """A page of DynamoDB has at most 1 MB."""

    def answer(table):
        for name in "abcdefgh":
            caching.put_string_set(name, {name * length})
        found = table.scan()
        keys = {item["key"] for item in found["Items"]}
        return keys, found["Count"], found["ScannedCount"], found.get("LastEvaluatedKey")

    with ordinary_table() as table:
        ordinary = answer(table)
    with key_value_store():
        assert answer(caching.kv_table()) == ordinary
    assert (ordinary[1] < 8) == (ordinary[3] is not None) == (length > 10)


def test_an_oversized_item_is_refused():
    with key_value_store():
        with pytest.raises(ClientError):
            caching.put_string_set("a", {"x" * 500_000})
        assert caching.get_string_set("a") == set()


def test_calls_to_a_deleted_table_are_errors():
    with key_value_store():
        caching.put_string_set("a", {"x"})
        caching.kv_table().delete()
        for function in (caching.get_string_set, caching.increment_counter):
            with pytest.raises(ClientError):
                function("a")


class TestClock:
    """The clock of a replay, which shows event time."""

    def test_event_time_decides_what_has_expired(self):
        clock = EventClock()
        clock.reach(START)
        with key_value_store(clock):
            caching.put_string_set("a", {"x"}, epoch_seconds=HOUR)
            item = caching.kv_table().get_item(Key={"key": "a"})["Item"]
            assert item["expiresAt"] == START + HOUR
            clock.reach(START + HOUR - 1)
            assert caching.get_string_set("a", force_ttl_check=True) == {"x"}
            clock.reach(START + HOUR + 1)
            assert caching.get_string_set("a", force_ttl_check=True) == set()
            assert caching.get_string_set("a") == {"x"}  # DynamoDB deletes late

    def test_items_are_deleted_two_days_after_expiry(self, monkeypatch):
        monkeypatch.setattr("local_panther.detection.table.SWEEP_EVERY", 1)
        clock = EventClock()
        clock.reach(START)
        with key_value_store(clock):
            caching.put_string_set("old", {"x"}, epoch_seconds=HOUR)
            clock.reach(START + HOUR + 2 * DAY - 1)
            caching.put_string_set("new", {"x"}, epoch_seconds=HOUR)
            assert caching.get_string_set("old") == {"x"}
            clock.reach(START + HOUR + 2 * DAY + 1)
            caching.put_string_set("new", {"x"}, epoch_seconds=HOUR)
            assert caching.get_string_set("old") == set()

    def test_only_the_given_modules_see_the_clock(self):
        import datetime as module
        import time
        import types

        content = types.ModuleType("content")
        code = """
import datetime, time
from datetime import date, datetime as moment
from time import time as seconds
def now():
    return (
        time.time(), seconds(), moment.now(datetime.timezone.utc).timestamp(),
        datetime.datetime.now().timestamp(), moment.utcnow().isoformat(), time.time_ns() / 1e9,
    )
def plain():
    parsed = datetime.datetime.fromisoformat("2020-01-02T03:04:05")
    return isinstance(parsed, moment), parsed - moment(2020, 1, 1), date.today()
"""
        exec(code, vars(content))
        clock = EventClock()
        clock.reach(START)
        with clock.seen_by([content]):
            *numbers, text, nanoseconds = content.now()
            assert [*numbers, nanoseconds] == [START] * 5
            assert text == "2026-01-05T10:00:00"
            assert content.plain()[0] and content.plain()[1] == module.timedelta(1, 11045)
            assert isinstance(module.datetime(2020, 1, 1), vars(content)["moment"])
            assert time.time() > START + DAY or time.time() < START - DAY
        assert vars(content)["moment"] is module.datetime
        assert content.now()[0] != START


def test_a_copy_of_the_table_and_the_table_are_independent():
    with key_value_store() as table:
        caching.put_string_set("a", ["1"])
        table.rest()
        items = table._items
        table.move()
        caching.add_to_string_set("a", "2")
        caching.put_string_set("b", ["3"])
        assert caching.get_string_set("a") == {"1", "2"}
        table._items = items
        assert caching.get_string_set("a") == {"1"} and not caching.get_string_set("b")
