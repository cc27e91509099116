"""Fixtures of public repositories that write or read CloudTrail are read unchanged.

CLOUDTRAIL_FIXTURES names a folder with a clone of each, `owner+name`; without it these tests are
skipped. No fixture is copied into this repository.
"""

import os
from pathlib import Path

import pytest

from local_panther.records.files import find_files
from local_panther.records.model import Tally
from local_panther.records.reader import Reader

FOLDER = os.environ.get("CLOUDTRAIL_FIXTURES", "")
MAX_BYTES = 20_000_000  # of a file; some repositories also hold data sets of gigabytes

# The number of CloudTrail records in each
RECORDS = {
    "DataDog+stratus-red-team": 310,
    "Yamato-Security+suzaku": 33,
    "airbnb+streamalert": 51,
    "aws+aws-lambda-go": 0,
    "duo-labs+cloudtracker": 0,
    "falcosecurity+plugins": 0,
    "fivexl+terraform-aws-cloudtrail-to-slack": 9,
    "flosell+trailscraper": 7,
    "invictus-ir+aws_dataset": 2900,
    "matanolabs+matano": 0,
    "mozilla+MozDef": 3,
    "panther-labs+panther-analysis": 0,
}
# Some files named .json are not JSON, and some records lack eventTime.
TRUE_ERRORS = {"malformed JSON", "missing or malformed eventTime", "empty file"}


def is_cloudtrail(record):
    event = record.event()
    return str(event.get("eventSource", "")).endswith((".amazonaws.com", ".amazonaws.com.cn"))


@pytest.mark.parametrize("name", RECORDS)
def test_a_public_repository_has_the_expected_records(name):
    folder = Path(FOLDER, name)
    if not FOLDER or not folder.is_dir():
        pytest.skip("set CLOUDTRAIL_FIXTURES to a folder with clones, owner+name each")
    tally = Tally()
    files = [f for f in find_files([str(folder)], tally) if Path(f).stat().st_size < MAX_BYTES]
    found = list(Reader(None, tally).read(files))
    assert set(tally.skipped) <= TRUE_ERRORS, list(map(str, tally.problems))
    assert all(map(is_cloudtrail, found))
    assert tally.records == RECORDS[name]
