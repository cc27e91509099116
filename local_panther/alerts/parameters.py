"""What the saved queries about an alert get of it: the values of their CTE `parameters`."""

from local_panther.alerts.model import Alert
from local_panther.times import sql_timestamp

TIMELINE_TAG = "Timeline:"  # followed by the ID of a rule whose alerts a query is about
ALERT_TIME = "alert_time"


def parameters_of(alert: Alert) -> dict[str, str]:
    """Return what the CTE `parameters` of a query can ask for."""
    found: dict[str, str] = {}
    for context in alert.contexts:
        found |= {key: value for key, value in context.items() if isinstance(value, str)}
    return found | {
        "match_value": alert.match_value or "",
        ALERT_TIME: sql_timestamp(alert.created_at),
    }
