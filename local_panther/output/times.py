"""Times as people and programs read them."""

from datetime import UTC, datetime


def iso(time: float) -> str:
    """Write seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def span(seconds: float) -> str:
    """Write a length of time in its two largest units: "12 min 5 s"."""
    left, parts = round(seconds), []
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts) or "0 s"
