"""Reading files as they are delivered yields the same records as reading all of them at once."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.records.arrivals import Arrivals, OutOfPlace
from local_panther.records.files import in_order_of_delivery
from local_panther.records.model import Record, Tally
from local_panther.records.order import in_time_order
from local_panther.records.reader import Reader
from tests.builders.content import write_lines
from tests.builders.events import START, call
from tests.scale import examples

WAITING = 100.0


def seen(records) -> list[tuple]:
    """Return what does not depend on how records are numbered."""
    return [(r.time, r.name, r.raw, r.where.partition(",")[0]) for r in records]


def at_once(paths: list[str], size: int) -> tuple[list[Record], Tally]:
    tally = Tally()
    files = sorted(paths, key=in_order_of_delivery)
    return list(in_time_order(Reader(None, tally).read(files), tally, size)), tally


def delivered(arrivals: Arrivals, paths: list[str]) -> list[Record]:
    """Return the records that are settled."""
    return [*arrivals.read(paths), *arrivals.settle()]


@settings(max_examples=examples(300, 10_000))
@given(st.integers(0, 10**9), st.integers(2, 8), st.sampled_from([4, 12, 1000]))
def test_settled_and_waiting_records_equal_those_of_reading_all_at_once(
    tmp_path_factory, seed, count, size
):
    random = Random(seed)
    folder = tmp_path_factory.mktemp("files")
    ids = iter(range(1000))
    known: list[str] = []
    paths = []
    for number in range(count):
        records = []
        for _ in range(random.randrange(6)):
            late = random.choice([0, 0, 1, 30, 30, -50, -random.randrange(400)])
            time = START + 60 * number + late
            is_repeated = known and random.random() < 0.05
            event_id = random.choice(known) if is_repeated else f"{next(ids)}"
            known.append(event_id)
            records.append(call("ListRoles", time=time, eventID=event_id))
        paths.append(str(write_lines(folder / f"{number}.json", records)))
    places = [number + random.choice([0, 0, 0, 1.5, 3]) for number in range(count)]
    order = [path for _, path in sorted(zip(places, paths, strict=True))]
    tally = Tally()
    arrivals = Arrivals(tally, waiting_seconds=WAITING, size=size)
    done: list[Record] = []
    there: list[str] = []
    try:
        while order:
            new = [order.pop(0) for _ in range(min(len(order), random.choice([1, 1, 2])))]
            there += new
            done += delivered(arrivals, new)
            waiting = sorted(arrivals._buffer._heap)
            wanted, whole = at_once(there, size)
            assert seen(done) + seen([record for *_, record in waiting]) == seen(wanted)
            counts = ("files", "records", "wanted", "duplicates", "first", "last")
            assert [getattr(tally, name) for name in counts] == [
                getattr(whole, name) for name in counts
            ]
    except OutOfPlace:
        pass


def files(folder, *times: list[float]) -> list[str]:
    return [
        str(
            write_lines(
                folder / f"{number}.json",
                [call("ListRoles", time=START + t, eventID=f"{number}-{t}") for t in found],
            )
        )
        for number, found in enumerate(times)
    ]


def test_files_that_overlap_within_the_wait_may_arrive_in_any_order(tmp_path):
    first, second, third = files(tmp_path, [0, 60], [30, 90], [70, 300])
    arrivals = Arrivals(Tally(), waiting_seconds=WAITING)
    assert not delivered(arrivals, [first])
    settled = delivered(arrivals, [third])
    assert [record.time - START for record in settled] == [0, 60, 70]
    with pytest.raises(OutOfPlace, match=r"1\.json, line 1: is 4 minutes late") as error:
        delivered(arrivals, [second])
    assert error.value.behind == 270
    arrivals = Arrivals(Tally(), waiting_seconds=2 * error.value.behind)
    for path in (first, third, second):
        assert not delivered(arrivals, [path])
    assert [record.time - START for record in arrivals.rest()] == [0, 30, 60, 70, 90, 300]


def test_a_duplicate_is_kept_in_the_file_that_sorts_first(tmp_path):
    repeated = [call("ListRoles", time=START, eventID="same")]
    first, second = (str(write_lines(tmp_path / name, repeated)) for name in ("1", "2"))
    arrivals = Arrivals(Tally(), waiting_seconds=WAITING)
    delivered(arrivals, [second])
    with pytest.raises(OutOfPlace, match=r"contains same, which was read from .*2"):
        delivered(arrivals, [first])
    tally = Tally()
    arrivals = Arrivals(tally, waiting_seconds=WAITING)
    delivered(arrivals, [first])
    delivered(arrivals, [second])
    assert tally.duplicates == 1 and len(arrivals) == 1
