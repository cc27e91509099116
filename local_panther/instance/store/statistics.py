"""Counts the items of an upload, as the API reports them."""

from collections.abc import Mapping

from local_panther.instance.check.model import Counts, StoredItem

# Other kinds, such as packs, are not counted.
NAMES = {
    "rule": "rules",
    "scheduled_rule": "rules",
    "correlation_rule": "correlationRules",
    "policy": "policies",
    "global": "globalHelpers",
    "datamodel": "dataModels",
    "saved_query": "queries",
    "scheduled_query": "queries",
    "lookup_table": "lookupTables",
    "scheduled_prompt": "scheduledPrompts",
}


def no_statistics() -> dict[str, Counts]:
    """Return the statistics of an empty upload."""
    return {name: Counts() for name in NAMES.values()}


def upload_statistics(
    uploaded: Mapping[str, StoredItem], stored: Mapping[str, StoredItem]
) -> dict[str, Counts]:
    """Count the new, modified and total items of an upload.

    Args:
        uploaded: The items of the upload, by ID.
        stored: The items stored before it, by ID.
    """
    statistics = no_statistics()
    for item_id, item in uploaded.items():
        name = NAMES.get(item.kind)
        if name is None:
            continue
        counts, before = statistics[name], stored.get(item_id)
        counts.total += 1
        counts.new += before is None
        counts.modified += before is not None and before.digest != item.digest
    return statistics
