"""The kinds of items that an instance stores, and where each has its place."""

from typing import NamedTuple


class Kind(NamedTuple):
    """Where items of a kind are kept, and under which name uploads count them."""

    folder: str
    statistics: str | None


KINDS = {
    "rule": Kind("rules", "rules"),
    "scheduled_rule": Kind("rules", "rules"),
    "correlation_rule": Kind("correlation_rules", "correlationRules"),
    "policy": Kind("policies", "policies"),
    "global": Kind("global_helpers", "globalHelpers"),
    "datamodel": Kind("data_models", "dataModels"),
    "saved_query": Kind("queries", "queries"),
    "scheduled_query": Kind("queries", "queries"),
    "lookup_table": Kind("lookup_tables", "lookupTables"),
    "scheduled_prompt": Kind("scheduled_prompts", "scheduledPrompts"),
    "pack": Kind("packs", None),
}
QUERY_KINDS = ("saved_query", "scheduled_query")
STATISTICS = sorted({kind.statistics for kind in KINDS.values() if kind.statistics})
