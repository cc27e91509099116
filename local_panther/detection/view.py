"""The event that a rule sees: that of `panther_core`, with a shorter way to most fields."""

from typing import Any

from panther_core import enriched_event


class PantherEvent(enriched_event.PantherEvent):
    """An event as `panther_core` wraps it, under the same name.

    Most of what rules ask for is a field by its exact name, or a text in one, which needs neither
    a wrapper around each step on the way nor a look at the other names. Everything else is left to
    `panther_core`.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a field."""
        container = self._container
        if type(container) is not dict or key not in container:
            return super().get(key, default)
        value = container[key]
        return value if type(value) is str else self._ensure_immutable(value)

    def deep_get(self, *keys: Any, default: Any = None) -> Any:
        """Return a value within fields."""
        value = self._container
        for key in keys:
            if type(value) is not dict or key not in value:
                return super().deep_get(*keys, default=default)
            value = value[key]
        if value is None:
            return default
        return self._ensure_immutable(value) if keys else self
