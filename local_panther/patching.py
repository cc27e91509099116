"""Replaces attributes for a time, without all that `unittest.mock` would bring with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[Any]:
    """Let an attribute of a module, class or object have another value while the context lasts."""
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield value
    finally:
        setattr(target, name, before)
