"""Removes tokens, credentials and open files from the surroundings of code in the box."""

import ctypes
import fcntl
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# The variables that content gets; none of them is a secret
KEPT = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TERM|COLORTERM|COLUMNS|LINES"
    "|NO_COLOR|FORCE_COLOR|TMPDIR|XDG_CACHE_HOME|VIRTUAL_ENV|LD_LIBRARY_PATH|PYTHON.*"
    "|LOCAL_PANTHER_.*|PANTHER_ANALYSIS|COVERAGE_.*|GITHUB_ACTIONS|GITHUB_WORKSPACE|CI|PWD"
)
AWS = "AWS_"
# Variables with which a command reaches S3 or a cluster
OF_THE_NETWORK = (
    *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "NO", "ALL")),
    *(f"{kind}_proxy" for kind in ("http", "https", "no", "all")),
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
OF_S3 = (AWS, "BOTO_", *OF_THE_NETWORK)
OF_A_CLUSTER = ("DASK_", *OF_THE_NETWORK)
SECRET = re.compile("TOKEN|SECRET|KEY|PASSWORD|CREDENTIAL")
# Without these, boto3 would look for credentials in files and at the machine's own address.
SETTINGS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)$")
ENVIRONMENT_FIELDS = slice(49, 51)  # in /proc/self/stat: start and end of the first environment


def is_kept(name: str) -> bool:
    """Return whether code in the box gets an environment variable."""
    return bool(KEPT.fullmatch(name))


def of_the_tool() -> tuple[str, ...]:
    """Return the variables that set options of panther_analysis_tool, except secrets."""
    return tuple(
        name for name in os.environ if name.startswith("PANTHER_") and not SECRET.search(name)
    )


def forget_secrets(more: tuple[str, ...] = ()) -> None:
    """Remove all variables that are not on the list, also from the memory of this process.

    Under /proc, Linux shows the environment that a process was started with, even after changes.

    Args:
        more: Prefixes of further variables to keep.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if is_kept(name) or (name.startswith(more) and not name.startswith("PANTHER_API"))
    }
    os.environ.clear()
    _erase_first_environment()
    os.environ.update(kept if AWS in more else SETTINGS | kept)


def _erase_first_environment() -> None:
    """Overwrite the environment block that the process was started with."""
    if sys.platform != "linux":
        return
    with suppress(OSError, ValueError, IndexError):
        # The second field is the program's name in brackets, which can contain spaces and brackets.
        fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
        first, last = (int(field) for field in ["", "", *fields][ENVIRONMENT_FIELDS])
        if 0 < first < last:
            ctypes.memset(first, 0, last - first)


def close_inherited(named: Iterable[str]) -> None:
    """Close the files that this process inherited, except the standard streams.

    Args:
        named: Paths that the user passed to the command; `/dev/fd/63` of a shell's `<(…)` stays
            open.
    """
    kept = {int(found[1]) for path in named if (found := DESCRIPTOR.match(path))}
    for number in _open_descriptors():
        with suppress(OSError):
            # Python marks the files that it opens itself, so that programs do not inherit them.
            is_inherited = not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            if number > 2 and number not in kept and is_inherited:
                os.close(number)


def _open_descriptors() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return [int(name) for name in os.listdir(folder)]  # noqa: PTH208 - names
    return []
