"""Gives content a fake AWS, emulated by moto inside this process.

Requests that content makes with boto3 must not leave this process, whatever the caller's
environment and configuration are. moto takes most of a second to import, and hardly any content
needs more than the key-value store. So moto starts when content creates its first session, and
boto3 is not imported before either.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from local_panther.imports import once_imported
from local_panther.patching import replaced

REGION = "us-east-1"
TABLE = "panther-kv-store"

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "KV_STORE_TABLE_NAME": TABLE,
}


@contextmanager
def fake_aws() -> Iterator[None]:
    """Give moto's AWS to every session of botocore and boto3 that is created inside the context.

    Sessions of a derived class, such as `records.aws` uses for the caller's S3, are not affected.
    """
    with ExitStack() as fakes:

        def fake_sessions(module: ModuleType) -> None:
            fakes.enter_context(_fake_sessions(module))

        def forget_session(module: ModuleType) -> None:
            fakes.enter_context(replaced(module, "DEFAULT_SESSION", None))

        fakes.enter_context(_settings())  # first, as moto restores the environment that it found
        with (
            once_imported("botocore.session", fake_sessions),
            once_imported("boto3", forget_session),
        ):
            yield


@contextmanager
def _fake_sessions(module: ModuleType) -> Iterator[None]:
    """Start moto when the first session is created inside the context."""
    ordinary = module.Session
    make = ordinary.__init__
    with ExitStack() as fakes:
        is_started = False

        def make_fake(session: Any, *args: Any, **kwargs: Any) -> None:
            nonlocal is_started
            if type(session) is ordinary and not is_started:
                is_started = True
                fakes.enter_context(_moto())
            make(session, *args, **kwargs)

        fakes.enter_context(replaced(ordinary, "__init__", make_fake))
        yield


@contextmanager
def _settings() -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _moto() -> Iterator[None]:
    from botocore import handlers
    from moto import mock_aws

    # Runs after moto's own handler, and refuses the requests that it lets through, such as those to
    # hosts outside amazonaws.com.
    last = ("before-send", _refuse)
    with (
        mock_aws(),
        replaced(handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, last]),
    ):
        yield


def _refuse(request: Any, **_: Any) -> Any:
    from botocore.awsrequest import AWSResponse

    return AWSResponse(request.url, 404, {}, _Empty())  # type: ignore[no-untyped-call]


class _Empty:
    """The body of an empty response."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        return iter(())
