"""The caller's own AWS, apart from the fake one that content gets, and what its errors mean."""

import os
from typing import Any, cast

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
DENIED = REASONS["AccessDenied"]


def environment() -> dict[str, str]:
    """Return the variables of the environment that lead to the caller's AWS."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def restore_environment(kept: dict[str, str]) -> None:
    """Set the variables again in a worker, whose parent may have faked them for its content."""
    for name in environment():
        del os.environ[name]
    os.environ.update(kept)


def s3_client(connections: int, attempts: int) -> Any:
    """Return a client of S3 by the caller's configuration, which no fake AWS answers.

    Credentials are looked up at once, since a run may fake those of the environment later.

    Args:
        connections: Requests at once.
        attempts: How often a request is tried.
    """
    from botocore import handlers
    from botocore.config import Config
    from botocore.session import Session

    class CallersSession(Session):
        """Apart from `Session`, which a run replaces for its content."""

    session: Any = cast("Any", CallersSession)()
    for event, handler, *_ in handlers.BUILTIN_HANDLERS:
        if event == "before-send":  # botocore has none: a fake AWS answers there
            session.unregister(event, handler)
    session.get_credentials()
    config: Any = Config
    retries = {"max_attempts": attempts, "mode": "standard"}
    return session.create_client(
        "s3", config=config(max_pool_connections=connections, retries=retries)
    )


def failures() -> tuple[type[Exception], ...]:
    """Return what a request to AWS raises."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, HTTPError, OSError


def is_worth_a_retry(error: Exception) -> bool:
    """Return whether the connection broke off; what S3 refuses, it would refuse again."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    return not isinstance(error, (ClientError, NoCredentialsError, PartialCredentialsError))


def reason(error: Exception) -> str:
    """Return what an error of AWS means."""
    response: dict[str, Any] = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    return REASONS.get(code) or " ".join(str(error).split())
