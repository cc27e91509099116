"""The kinds of items in a content repository, and the folder of each kind."""

FOLDERS = {
    "rule": "rules",
    "scheduled_rule": "rules",
    "correlation_rule": "correlation_rules",
    "policy": "policies",
    "global": "global_helpers",
    "datamodel": "data_models",
    "saved_query": "queries",
    "scheduled_query": "queries",
    "lookup_table": "lookup_tables",
    "scheduled_prompt": "scheduled_prompts",
    "pack": "packs",
}
QUERY_KINDS = ("saved_query", "scheduled_query")
SHARED_KINDS = ("global", "datamodel")  # any rule may use these
