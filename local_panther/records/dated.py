"""Which files can hold records of a period, by the dates and hours in their names."""

import re
from datetime import timedelta

from local_panther.times import EPOCH, Period

# A clock of AWS may be a little ahead of another.
EARLY_DELIVERY = 15 * 60  # seconds
# CloudTrail delivers within minutes as a rule, and promises nothing.
LATE_DELIVERY = 3 * 3600  # seconds

# 123456789012_CloudTrail_us-east-1_20260105T1005Z_Ab12Cd34Ef56Gh78.json.gz
DELIVERY_TIME = re.compile(r"_(\d{8}T\d{4}Z)_")

# CloudTrail's folders (…/us-east-1/2026/01/05/), those of tables (…/year=2026/month=01/day=05/) and
# Firehose's (2026/01/05/10/), which are told only by the hour at their end: any folder may be 2026.
DATED_FOLDERS = (
    re.compile(r"/[a-z]{2}(?:-[a-z]+)+-\d/(\d{4})/(?:(\d\d)/(?:(\d\d)/)?)?$"),
    re.compile(r"/year=(\d{4})/(?:month=(\d\d)/(?:day=(\d\d)/(?:hour=(\d\d)/)?)?)?$"),
    re.compile(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/$"),
)


def may_hold(period: Period, stamp: str) -> bool:
    """Return whether a file that was delivered at a time can hold records of a period.

    Args:
        period: When the wanted records happened.
        stamp: Year, month, day, hour and minute, or as many of them as are known: "202601051005",
            "20260105", "2026". "" for a file of unknown time.
    """
    size = len(stamp)
    first = _stamp(period.start - EARLY_DELIVERY)[:size]
    last = _stamp(period.end + LATE_DELIVERY)[:size]
    return (not first or first <= stamp) and (not last or stamp <= last)


def file_stamp(name: str) -> str:
    """Return when AWS delivered a file by its name, as `may_hold` takes it."""
    found = DELIVERY_TIME.search(name)
    return found[1].replace("T", "").removesuffix("Z") if found else ""


def folder_stamp(folder: str) -> str:
    """Return the year, month, day and hour in a folder's path, as far as they are in it."""
    for pattern in DATED_FOLDERS:
        if found := pattern.search(f"/{folder}"):
            return "".join(part for part in found.groups() if part)
    return ""


def _stamp(time: float) -> str:
    """Write seconds since 1970 as digits that sort by time; "" for an end that is open."""
    try:
        return f"{EPOCH + timedelta(seconds=time):%Y%m%d%H%M}"
    except OverflowError:
        return ""
