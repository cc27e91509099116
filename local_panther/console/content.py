"""The page of the content in use, and of what the latest replay read and found."""

from dataclasses import dataclass
from typing import Any

from local_panther.console.asked import Asked, Page, Reply
from local_panther.console.incidents import tally_of
from local_panther.instance.instance import SUMMARY, Instance
from local_panther.output.facts import reading_facts

RULES = ("rule", "scheduled_rule", "correlation_rule")


@dataclass(frozen=True)
class Item:
    """An item of the content.

    Attributes:
        kind: Its AnalysisType in words.
        severity: The severity of a rule; "" for other items.
        is_enabled: Whether it is enabled; None if it cannot be disabled.
        signals: Number of its matches in the latest replay; None if it did not run.
        alerts: Number of its stored alerts.
        errors: Number of its exceptions in the latest replay.
        aside: Why it did not run; "" if it did.
    """

    id: str
    kind: str
    severity: str
    is_enabled: bool | None
    signals: int | None
    alerts: int
    errors: int
    aside: str


class ContentPage:
    """The handler of the page of the content."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def shown(self, _: Asked) -> Reply:
        """Show all items, rules first, and the counts of the latest replay."""
        alerts = self._instance.alerts
        summary: dict[str, Any] | None = alerts.fact(SUMMARY)
        items = self._items(summary or {}, alerts.incidents.rules())
        return Page(
            "content.html.j2",
            {
                "rules": [item for item in items if item.kind.replace(" ", "_") in RULES],
                "others": [item for item in items if item.kind.replace(" ", "_") not in RULES],
                "summary": summary,
                "reading": list(reading_facts(tally_of(summary))) if summary else [],
                "problems": [*summary["problems"], *summary["examples"]] if summary else [],
                "refused": summary["refused"] if summary else 0,
            },
        )

    def _items(self, summary: dict[str, Any], made: dict[str, int]) -> list[Item]:
        library = self._instance.library
        signals, errors = summary.get("signals", {}), summary.get("errors", {})
        aside = {name: problem or reason for name, reason, problem in summary.get("left_out", ())}
        found = []
        for item_id, item in sorted(library.items.items()):
            spec = library.spec(item_id)
            enabled = spec.get("Enabled")
            found.append(
                Item(
                    id=item_id,
                    kind=item.kind.replace("_", " "),
                    severity=str(spec.get("Severity") or "").upper(),
                    is_enabled=enabled if isinstance(enabled, bool) else None,
                    signals=signals.get(item_id),
                    alerts=made.get(item_id, 0),
                    errors=errors.get(item_id, 0),
                    aside=aside.get(item_id, ""),
                )
            )
        return found
