"""Access to the caller's own AWS, separate from the fake AWS of content, and errors in words."""

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
    """Return the environment variables that configure the caller's AWS."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def restore_environment(kept: dict[str, str]) -> None:
    """Restore the variables in a worker, whose parent may have replaced them for its content."""
    for name in environment():
        del os.environ[name]
    os.environ.update(kept)


def s3_client(connections: int, attempts: int) -> Any:
    """Return a client of S3 with the caller's configuration, which a fake AWS never intercepts.

    Credentials are resolved at once, since a run may replace the environment variables later.

    Args:
        connections: Largest number of concurrent requests.
        attempts: Largest number of attempts for a request.
    """
    from botocore import handlers
    from botocore.config import Config
    from botocore.session import Session

    class CallersSession(Session):
        """A session of a class of its own, as a run replaces `Session` for its content."""

    session: Any = cast("Any", CallersSession)()
    for event, handler, *_ in handlers.BUILTIN_HANDLERS:
        if event == "before-send":  # botocore itself has no such handler: it is a fake AWS's
            session.unregister(event, handler)
    session.get_credentials()
    config: Any = Config
    retries = {"max_attempts": attempts, "mode": "standard"}
    return session.create_client(
        "s3", config=config(max_pool_connections=connections, retries=retries)
    )


def failures() -> tuple[type[Exception], ...]:
    """Return the exceptions that a request to AWS can raise."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, HTTPError, OSError


def is_worth_a_retry(error: Exception) -> bool:
    """Return whether the connection failed; a request that S3 refused would be refused again."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    return not isinstance(error, (ClientError, NoCredentialsError, PartialCredentialsError))


def reason(error: Exception) -> str:
    """Return an error of AWS in words."""
    response: dict[str, Any] = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    return REASONS.get(code) or " ".join(str(error).split())
