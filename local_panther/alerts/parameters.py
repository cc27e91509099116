"""Values of an alert for the parameters of saved queries, which are in their CTE `parameters`."""

from local_panther.alerts.model import Alert
from local_panther.times import sql_timestamp

TIMELINE_TAG = "Timeline:"  # followed by the ID of the rule whose alerts a query shows
ALERT_TIME = "alert_time"


def parameters_of(alert: Alert) -> dict[str, str]:
    """Return an alert's values for the columns of a query's CTE `parameters`, by name."""
    found: dict[str, str] = {}
    for context in alert.contexts:
        found |= {key: value for key, value in context.items() if isinstance(value, str)}
    return found | {
        "match_value": alert.match_value or "",
        ALERT_TIME: sql_timestamp(alert.created_at),
    }
