"""Generated ordinary work is varied, has the requested proportions and raises no alert."""

import json
from collections import Counter
from random import Random

import pytest

from local_panther.simulate.log_files import deliver, write
from local_panther.simulate.ordinary import OrdinaryWork
from tests.builders.events import START
from tests.builders.replays import replayed

DAY = 86_400
ROLE_CALLS = {"AssumeRole", "ListRoles"}


def records(count, seed=1, **options):
    return list(OrdinaryWork(Random(seed), **options).records(count, START, DAY))


def test_the_same_seed_gives_the_same_records():
    assert records(500) == records(500) != records(500, seed=2)


def test_no_record_repeats_another():
    found = records(5000)
    assert len({record["eventID"] for record in found}) == 5000
    keep = ("eventName", "eventTime", "userIdentity", "requestParameters", "sourceIPAddress")
    contents = {json.dumps([record[name] for name in keep]) for record in found}
    assert len(contents) > 4900  # some calls, such as ListBuckets, have no parameters


def test_many_principals_and_services_take_part():
    found = records(20_000)
    principals = {
        record["userIdentity"].get("arn", "").split("/")[1:2][0]
        for record in found
        if record["userIdentity"].get("arn")
    }
    assert len(principals) > 200
    assert len({record["eventSource"] for record in found}) > 15
    assert len({record["awsRegion"] for record in found}) > 3


@pytest.mark.parametrize("share", [0, 0.03, 0.5])
def test_role_calls_have_the_requested_share(share):
    names = Counter(record["eventName"] for record in records(20_000, role_calls=share))
    assert sum(names[name] for name in ROLE_CALLS) / 20_000 == pytest.approx(share, abs=0.01)


@pytest.mark.long
def test_a_day_of_ordinary_work_raises_no_alert(tmp_path):
    random = Random(3)
    ordinary = OrdinaryWork(random, role_calls=0.5).records(20_000, START, DAY)
    write(deliver(ordinary, random, shuffle=True, duplicates=0.1), str(tmp_path / "trail"))
    outcome = replayed(tmp_path / "trail", include_disabled=True)
    assert outcome.tally.records > 20_000 and outcome.complete and not outcome.alerts


def test_a_folder_is_laid_out_as_a_bucket(tmp_path):
    random = Random(1)
    write(deliver(records(200), random, shuffle=False, duplicates=0), str(tmp_path))
    for path in tmp_path.rglob("*.json.gz"):
        region, *day, name = path.relative_to(tmp_path / "AWSLogs/123456789012/CloudTrail").parts
        stamp = "".join(day)
        assert name.startswith(f"123456789012_CloudTrail_{region}_{stamp}T")
