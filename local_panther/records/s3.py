"""CloudTrail in S3: lists and fetches objects with the caller's ordinary AWS configuration.

Credentials, region and endpoint come from where every AWS tool takes them: environment variables
(`AWS_PROFILE`, `AWS_ENDPOINT_URL_S3`, …), the configuration files, or the machine's role.
"""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from io import RawIOBase

PREFIX = "s3://"

REQUESTS_AT_ONCE = 16
ATTEMPTS = 5  # for one object; botocore's own retries cover only the start of a response
IN_MEMORY_BYTES = 64 * 1024 * 1024  # of an object; a larger one goes through a temporary file
PIECE_BYTES = 1024 * 1024

# .../CloudTrail/eu-west-1/2026/01/05/123456789012_CloudTrail_eu-west-1_20260105T1005Z_Ab12.json.gz
DAY_FOLDER = re.compile(r"/[a-z0-9-]+/(\d{4})/(?:(\d\d)/(?:(\d\d)/)?)?$")

REASONS = {
    "403": "access denied",
    "404": "no such bucket or object",
    "AccessDenied": "access denied",
    "ExpiredToken": "the AWS credentials have expired",
    "InvalidAccessKeyId": "the AWS access key does not exist",
    "InvalidObjectState": "the object is archived (Glacier); restore it first",
    "NoSuchBucket": "no such bucket",
    "NoSuchKey": "no such object",
    "SignatureDoesNotMatch": "the AWS secret key is wrong",
}
REQUESTER_PAYS_HINT = "; if the requester pays for this bucket, add --requester-pays"


class S3Error(OSError):
    """S3 refused a request or did not answer; the message says what for and why."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.strerror = reason


@dataclass(frozen=True)
class S3Object:
    """An object in a bucket.

    Attributes:
        url: `s3://bucket/key`.
        size: Its size in bytes.
    """

    url: str
    size: int


@dataclass(frozen=True)
class Period:
    """Days that are wanted, as text that sorts by time; the empty text leaves an end open.

    Attributes:
        first: The first day, "20260105".
        last: The last day.
    """

    first: str = ""
    last: str = ""

    def may_include(self, day: str) -> bool:
        """Return whether a day, or a month or year by its first digits, is partly in the period."""
        too_early = self.first and day < self.first[: len(day)]
        too_late = self.last and day > self.last[: len(day)]
        return not (too_early or too_late)


ANY_TIME = Period()


class S3:
    """S3 as one run uses it; clients are made when they are first needed."""

    def __init__(self, *, requester_pays: bool = False) -> None:
        """Prepare.

        Args:
            requester_pays: Accept to pay for requests to buckets that ask for it.
        """
        self._options = {"RequestPayer": "requester"} if requester_pays else {}
        self._hint = "" if requester_pays else REQUESTER_PAYS_HINT
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE)
        self._fetching: dict[str, Future[BufferedReader]] = {}

    def objects(self, url: str, period: Period = ANY_TIME) -> Iterator[S3Object]:
        """Yield the objects under a prefix, and the object itself if the URL names one.

        Folders of days outside the period are not even listed.

        Args:
            url: `s3://bucket` or `s3://bucket/prefix`.
            period: The days that are wanted.

        Raises:
            S3Error: The bucket cannot be listed.
        """
        bucket, prefix = _parts(url)
        if period == ANY_TIME:
            yield from self._page(bucket, prefix, {})[0]
            return
        waiting = [prefix]
        while waiting:
            pages = self._threads.map(
                lambda folder: self._page(bucket, folder, {"Delimiter": "/"}), waiting
            )
            waiting = []
            for objects, folders in pages:
                yield from objects
                waiting += [folder for folder in folders if _is_wanted(folder, period)]

    def start_fetching(self, urls: Iterable[str]) -> None:
        """Start to fetch objects that `opened` will be called for, many at once."""
        for url in urls:
            if url.startswith(PREFIX) and url not in self._fetching:
                self._fetching[url] = self._threads.submit(self._fetched, url)

    def opened(self, url: str) -> BufferedReader:
        """Return an object's content, to be closed by the caller.

        Raises:
            S3Error: The object cannot be fetched.
        """
        future = self._fetching.pop(url, None)
        return future.result() if future else self._fetched(url)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _page(
        self, bucket: str, prefix: str, options: dict[str, str]
    ) -> tuple[list[S3Object], list[str]]:
        """Return the objects under a prefix, and with a delimiter the folders in it."""
        objects: list[S3Object] = []
        folders: list[str] = []
        try:
            pages = (
                _client()
                .get_paginator("list_objects_v2")
                .paginate(Bucket=bucket, Prefix=prefix, **options, **self._options)
            )
            for page in pages:
                objects += [
                    S3Object(f"{PREFIX}{bucket}/{found['Key']}", found["Size"])
                    for found in page.get("Contents", ())
                    if not found["Key"].endswith("/")
                ]
                folders += [found["Prefix"] for found in page.get("CommonPrefixes", ())]
        except _failures() as error:
            raise self._error(f"{PREFIX}{bucket}/{prefix}", error) from error
        return objects, folders

    def _fetched(self, url: str) -> BufferedReader:
        bucket, key = _parts(url)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._download(bucket, key)
            except _failures() as error:
                if attempt == ATTEMPTS or not _is_worth_a_retry(error):
                    raise self._error(url, error) from error
        raise AssertionError("the last attempt returns or raises")

    def _download(self, bucket: str, key: str) -> BufferedReader:
        file = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
        answer = _client().get_object(Bucket=bucket, Key=key, **self._options)
        for piece in answer["Body"].iter_chunks(PIECE_BYTES):
            file.write(piece)
        file.seek(0)
        return BufferedReader(cast("RawIOBase", file))

    def _error(self, url: str, error: Exception) -> S3Error:
        response: dict[str, Any] = getattr(error, "response", {})
        code = str(response.get("Error", {}).get("Code", ""))
        reason = REASONS.get(code) or " ".join(str(error).split())
        return S3Error(url, reason + (self._hint if reason == "access denied" else ""))


def _parts(url: str) -> tuple[str, str]:
    split = urlsplit(url, allow_fragments=False)
    key = split.path.removeprefix("/")
    return split.netloc, f"{key}?{split.query}" if split.query else key


def _is_wanted(folder: str, period: Period) -> bool:
    found = DAY_FOLDER.search(f"/{folder}")
    return not found or period.may_include("".join(part for part in found.groups() if part))


@cache
def _client() -> Any:
    import boto3
    from botocore.config import Config

    retries: Any = {"max_attempts": ATTEMPTS, "mode": "standard"}
    config: Any = Config
    session: Any = boto3.session.Session
    return session().client(
        "s3", config=config(max_pool_connections=REQUESTS_AT_ONCE, retries=retries)
    )


@cache
def _failures() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, HTTPError, OSError


def _is_worth_a_retry(error: Exception) -> bool:
    """Return whether the connection broke off; what S3 refuses, it would refuse again."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    return not isinstance(error, (ClientError, NoCredentialsError, PartialCredentialsError))
