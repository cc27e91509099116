"""S3 for tests: moto's server in a process of its own."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.session import Session

BUCKET = "trail"
SERVER = "from moto.server import main; import sys; main(sys.argv[1:])"


@contextlib.contextmanager
def running_s3(log: Path) -> Iterator[str]:
    """Run a server and yield its address; its output goes to a file, as a pipe would fill up."""
    command = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield found[0]
        finally:
            process.kill()


def s3_environment(endpoint: str) -> dict[str, str]:
    """Return the environment variables that direct S3 clients to the server."""
    return {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "example",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextlib.contextmanager
def made_bucket(monkeypatch: Any, endpoint: str) -> Iterator[Any]:
    """Create an empty bucket, set the environment that directs there, and yield a client."""
    for name, value in s3_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    client = Session().create_client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=found["Key"])
    client.delete_bucket(Bucket=BUCKET)


def upload(client: Any, folder: Path, prefix: str = "") -> str:
    """Upload the files of a folder to the bucket and return their URL."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = prefix + path.relative_to(folder).as_posix()
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return f"s3://{BUCKET}/{prefix}"
