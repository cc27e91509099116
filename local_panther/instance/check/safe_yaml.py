"""Loads YAML that clients send, if it does not expand to more than can be handled."""

from typing import Any

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

MAX_VALUES = 200_000  # in one YAML document, with aliases expanded
MAX_DEPTH = 200
TOO_LARGE = "has too many values when its aliases are written out"
TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"


class TooLargeError(yaml.YAMLError):
    """YAML that expands to more than can be handled; the message names the limit."""


def load_yaml(text: str | bytes) -> Any:
    """Read a YAML document that a client sent.

    Raises:
        yaml.YAMLError: It is not valid YAML, or expands to too much (`TooLargeError`).
    """
    check_expansion(text)
    return yaml.load(text, _Loader)


def check_expansion(text: str | bytes) -> None:
    """Refuse YAML that expands to more than can be handled.

    The size cannot be checked after loading: merge keys (`<<`) are expanded while a document is
    loaded. So the events of the parser are counted, which takes neither recursion nor more memory
    than the text.

    Raises:
        yaml.YAMLError: It is not valid YAML, or expands to too much (`TooLargeError`).
    """
    sizes: dict[str, int] = {}  # number of values in each anchored node, aliases expanded
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and number of values before the node
    values = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, AliasEvent):
            values += sizes.get(event.anchor or "", 1)
        elif isinstance(event, ScalarEvent):
            values += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, CollectionStartEvent):
            open_nodes.append((event.anchor, values))
            values += 1
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = values - before
        if values > MAX_VALUES:
            raise TooLargeError(TOO_LARGE)
        if len(open_nodes) > MAX_DEPTH:
            raise TooLargeError(TOO_DEEP)


def is_too_large(document: Any) -> bool:
    """Return whether a loaded document has more values than can be handled."""
    count, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            return True
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # of libyaml, ten times as fast
