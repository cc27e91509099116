"""Lists and fetches objects in S3 with the caller's ordinary AWS configuration.

Credentials, region and endpoint come from the usual places: environment variables (`AWS_PROFILE`,
`AWS_ENDPOINT_URL_S3`, …), the configuration files, or the machine's role.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from local_panther.records import aws
from local_panther.records.dated import folder_stamp, may_hold
from local_panther.times import ALWAYS, Period

if TYPE_CHECKING:
    from io import RawIOBase

PREFIX = "s3://"

REQUESTS_AT_ONCE = 16
ATTEMPTS = 5  # for one object; botocore's own retries cover only the start of a response
IN_MEMORY_BYTES = 64 * 1024 * 1024  # largest object kept in memory; larger ones go to a file
PIECE_BYTES = 1024 * 1024
REQUESTER_PAYS_HINT = "; if the requester pays for this bucket, add --requester-pays"


class S3Error(OSError):
    """A request that S3 refused or did not answer; the message has the URL and the reason."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.strerror = reason


class Listed(NamedTuple):
    """A listed object: its size in bytes, and its ETag."""

    size: int
    tag: str


def is_s3(path: str) -> bool:
    """Return whether a path is the address of a bucket, a prefix or an object.

    The scheme may be in any case, as in every URL (RFC 3986, section 3.1).
    """
    return path[: len(PREFIX)].lower() == PREFIX


def s3_for(paths: Iterable[str], *, requester_pays: bool = False) -> "S3":
    """Return S3 for a run, connected if any path is in S3; call before content gets a fake AWS."""
    s3 = S3(requester_pays=requester_pays)
    if any(map(is_s3, paths)):
        s3.connect()
    return s3


class S3:
    """The connection of one process to S3, as a context manager that ends its threads.

    Attributes:
        requester_pays: Whether charges for requester-pays buckets are accepted.
        environment: The environment variables that configure the caller's AWS.
    """

    def __init__(self, *, requester_pays: bool = False) -> None:
        """Prepare without sending a request.

        Args:
            requester_pays: Accept charges for requester-pays buckets.
        """
        self.requester_pays = requester_pays
        self._options = {"RequestPayer": "requester"} if requester_pays else {}
        self.environment = aws.environment()
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE)
        self._fetching: dict[str, Future[BufferedReader]] = {}
        self._listed: dict[str, Listed] = {}
        self._connected: Any = None
        self._failure: Exception | None = None  # raised by `connect`
        self._connecting = Lock()

    def connect(self) -> None:
        """Resolve the caller's credentials; errors are raised by the first request."""
        with self._connecting:
            if self._connected or self._failure:
                return
            try:
                self._connected = aws.s3_client(REQUESTS_AT_ONCE, ATTEMPTS)
            except aws.failures() as error:
                self._failure = error

    def objects(self, url: str, period: Period = ALWAYS) -> Iterator[str]:
        """Yield the URLs of the objects under a prefix, and of the object that a URL names.

        Folders of other days are not listed. The others are listed concurrently, level by level;
        without a period, dated folders are listed with everything below them.

        Args:
            url: `s3://bucket` or `s3://bucket/prefix`.
            period: The period of the wanted records.

        Raises:
            S3Error: The bucket cannot be listed.
        """
        bucket, prefix = _parts(url)
        waiting = [prefix]
        while waiting:
            pages = self._threads.map(lambda folder: self._page(bucket, folder, period), waiting)
            waiting = []
            for objects, folders in pages:
                yield from objects
                self._listed.update(objects)
                waiting += [name for name in folders if may_hold(period, folder_stamp(name))]

    def size(self, url: str) -> int:
        """Return the size of an object in bytes; 0 if it was not listed."""
        listed = self._listed.get(url)
        return listed.size if listed else 0

    def tag(self, url: str) -> str:
        """Return the ETag of an object, which changes with its content; "" if it was not listed."""
        listed = self._listed.get(url)
        return listed.tag if listed else ""

    def start_fetching(self, paths: Iterable[str]) -> None:
        """Start to fetch objects concurrently, for `opened`; other paths are ignored."""
        for path in paths:
            if is_s3(path) and path not in self._fetching:
                self._fetching[path] = self._threads.submit(self._fetched, path)

    def opened(self, url: str) -> BufferedReader:
        """Return an object's content; the caller must close it.

        Raises:
            S3Error: The object cannot be fetched.
        """
        future = self._fetching.pop(url, None)
        return future.result() if future else self._fetched(url)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> "S3":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the threads."""
        self.close()

    def _client(self) -> Any:
        self.connect()
        if self._failure:
            raise self._failure
        return self._connected

    def _page(
        self, bucket: str, prefix: str, period: Period
    ) -> tuple[dict[str, "Listed"], list[str]]:
        """Return the objects in a folder, and its folders.

        Without a period, a dated folder is listed as a whole: all objects below it, and no folders.
        """
        is_leaf = bool(folder_stamp(prefix)) and period == ALWAYS
        options = {} if is_leaf else {"Delimiter": "/"}
        objects: dict[str, Listed] = {}
        folders: list[str] = []
        try:
            paginator = self._client().get_paginator("list_objects_v2")
            for page in paginator.paginate(
                Bucket=bucket, Prefix=prefix, **options, **self._options
            ):
                objects |= {
                    f"{PREFIX}{bucket}/{found['Key']}": Listed(found["Size"], found["ETag"])
                    for found in page.get("Contents", ())
                    if not found["Key"].endswith("/")
                }
                folders += [found["Prefix"] for found in page.get("CommonPrefixes", ())]
        except aws.failures() as error:
            raise self._error(f"{PREFIX}{bucket}/{prefix}", error) from error
        return objects, folders

    def _fetched(self, url: str) -> BufferedReader:
        bucket, key = _parts(url)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._download(bucket, key)
            except aws.failures() as error:
                if attempt == ATTEMPTS or not aws.is_worth_a_retry(error):
                    raise self._error(url, error) from error
        raise AssertionError("the last attempt returns or raises")

    def _download(self, bucket: str, key: str) -> BufferedReader:
        file = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
        answer = self._client().get_object(Bucket=bucket, Key=key, **self._options)
        for piece in answer["Body"].iter_chunks(PIECE_BYTES):
            file.write(piece)
        file.seek(0)
        return BufferedReader(cast("RawIOBase", file))

    def _error(self, url: str, error: Exception) -> S3Error:
        reason = aws.reason(error)
        has_hint = reason == aws.DENIED and not self.requester_pays
        return S3Error(url, reason + (REQUESTER_PAYS_HINT if has_hint else ""))


def _parts(url: str) -> tuple[str, str]:
    """Return bucket and key of a URL; a key may hold any character."""
    bucket, _, key = url[len(PREFIX) :].partition("/")
    return bucket, key
