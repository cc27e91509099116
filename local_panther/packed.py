"""Events and contexts as compressed JSON: a fraction of the memory that they take as objects.

A flood leaves a hundred thousand signals or alerts, and few of them are ever looked into.
"""

import json
import zlib
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


def pack(value: Any) -> bytes:
    """Return a value as compressed JSON; what JSON has no form for becomes text."""
    return zlib.compress(json.dumps(value, separators=(",", ":"), default=str).encode(), 1)


def unpack(packed: bytes) -> Any:
    """Return the value that was packed."""
    return json.loads(zlib.decompress(packed))


class PackedField(Generic[Value]):
    """A field of a dataclass that is kept packed, and unpacked anew each time that it is read."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the field."""
        self._name = f"_packed_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> "PackedField[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> "Value | PackedField[Value]":
        """Return the value."""
        if instance is None:
            raise AttributeError(self._name)  # which tells dataclasses that there is no default
        value: Value = unpack(getattr(instance, self._name))
        return value

    def __set__(self, instance: object, value: Value) -> None:
        """Keep a value."""
        setattr(instance, self._name, pack(value))
