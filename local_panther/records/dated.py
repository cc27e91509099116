"""Decides by the dates in their names which files can hold records of a period."""

import re
from datetime import timedelta

from local_panther.times import EPOCH, Period

# The clocks of AWS services may differ a little.
EARLY_DELIVERY = 15 * 60  # seconds
# CloudTrail usually delivers within minutes, but does not guarantee it.
LATE_DELIVERY = 3 * 3600  # seconds

# 123456789012_CloudTrail_us-east-1_20260105T1005Z_Ab12Cd34Ef56Gh78.json.gz
DELIVERY_TIME = re.compile(r"_(\d{8}T\d{4}Z)_")

# The folders of CloudTrail (…/us-east-1/2026/01/05/), of partitioned tables
# (…/year=2026/month=01/day=05/) and of Firehose (2026/01/05/10/). Firehose's are recognised only by
# the hour at their end, as any folder may be named 2026.
DATED_FOLDERS = (
    re.compile(r"/[a-z]{2}(?:-[a-z]+)+-\d/(\d{4})/(?:(\d\d)/(?:(\d\d)/)?)?$"),
    re.compile(r"/year=(\d{4})/(?:month=(\d\d)/(?:day=(\d\d)/(?:hour=(\d\d)/)?)?)?$"),
    re.compile(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/$"),
)


def may_hold(period: Period, stamp: str) -> bool:
    """Return whether a file that was delivered at a time can hold records of a period.

    Args:
        period: The period of the wanted records.
        stamp: Year, month, day, hour and minute of delivery, as far as they are known:
            "202601051005", "20260105", "2026"; "" for an unknown time.
    """
    size = len(stamp)
    first = _stamp(period.start - EARLY_DELIVERY)[:size]
    last = _stamp(period.end + LATE_DELIVERY)[:size]
    return (not first or first <= stamp) and (not last or stamp <= last)


def file_stamp(name: str) -> str:
    """Return the time of delivery in a file's name, as a stamp for `may_hold`."""
    found = DELIVERY_TIME.search(name)
    return found[1].replace("T", "").removesuffix("Z") if found else ""


def folder_stamp(folder: str) -> str:
    """Return the year, month, day and hour in a folder's path, as a stamp for `may_hold`."""
    for pattern in DATED_FOLDERS:
        if found := pattern.search(f"/{folder}"):
            return "".join(part for part in found.groups() if part)
    return ""


def _stamp(time: float) -> str:
    """Write seconds since 1970 as digits that sort by time; "" for an infinite time."""
    try:
        return f"{EPOCH + timedelta(seconds=time):%Y%m%d%H%M}"
    except OverflowError:
        return ""
