"""Translates alert filters into conditions of SQL."""

from typing import Any

from local_panther.instance.alerts.model import AlertFilter, TrackedAlert


def where(wanted: AlertFilter) -> tuple[str, list[Any]]:
    """Return the condition of a filter, and the values of its placeholders."""
    conditions, values = ["kind = ?"], [wanted.kind]

    def add(condition: str, *more: Any) -> None:
        conditions.append(condition)
        values.extend(more)

    for column, chosen in (
        ("detection_type", wanted.detection_types),
        ("severity", wanted.severities),
        ("status", wanted.statuses),
        ("assignee", wanted.assignees),
    ):
        if chosen:
            add(f"{column} IN ({_marks(chosen)})", *chosen)
    for condition, value in (
        ("rule_id = ?", wanted.detection_id or None),
        ("created >= ?", wanted.created_after),
        ("created <= ?", wanted.created_before),
        ("event_count >= ?", wanted.event_count_min),
        ("event_count <= ?", wanted.event_count_max),
        ("instr(lower(title), lower(?)) > 0", wanted.name_contains or None),
    ):
        if value is not None:
            add(condition, value)
    if wanted.log_types:
        marks = _marks(wanted.log_types)
        add(f"EXISTS (SELECT 1 FROM json_each(log_types) WHERE value IN ({marks}))")
        values.extend(wanted.log_types)
    return " AND ".join(conditions), values


def after(
    condition: str, values: list[Any], last: TrackedAlert, *, descending: bool
) -> tuple[str, list[Any]]:
    """Return a condition for only those alerts that follow another one in order of creation."""
    sign = "<" if descending else ">"
    return f"{condition} AND (created, id) {sign} (?, ?)", [
        *values,
        last.found.created,
        last.found.id,
    ]


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))
