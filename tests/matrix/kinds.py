"""A rule of each kind, as users write them, which every combination of versions runs."""

from pathlib import Path

import yaml

USER = {"type": "IAMUser", "userName": "mallory", "arn": "arn:aws:iam::123456789012:user/mallory"}
EVENT = {"p_log_type": "AWS.CloudTrail", "eventName": "ListRoles", "userIdentity": USER}
EVENT |= {"sourceIPAddress": "198.51.100.23"}
TESTS = [
    {"Name": "matches", "ExpectedResult": True, "Log": EVENT},
    {"Name": "does not", "ExpectedResult": False, "Log": EVENT | {"eventName": "ListUsers"}},
]
STREAM = {"AnalysisType": "rule", "LogTypes": ["AWS.CloudTrail"], "Tests": TESTS}
LISTS = {"KeyPath": "eventName", "Condition": "IsIn", "Values": ["ListRoles"]}
RATE = {"RateMinutes": 30, "TimeoutMinutes": 5}
UDM = """def rule(event):
    return event.udm("actor_user") == "mallory" and event.udm("source_ip") is not None


def title(event):
    return f"{event.udm('actor_user')} {event.udm('event_type')}"
"""
ALWAYS = "def rule(event):\n    return True\n"
SQL = (
    "SELECT userIdentity:arn AS arn, COUNT(*) AS calls FROM panther_logs.public.aws_cloudtrail "
    "WHERE p_occurs_since('30 m') AND eventName = 'ListRoles' GROUP BY 1"
)
STEPS = [{"ID": name, "RuleID": f"Matrix.{name}"} for name in ("Streaming", "Simple")]
MATCH = {"Principal": [{"GroupID": step["ID"], "Match": "userIdentity.arn"} for step in STEPS]}
GROUP = {"Group": STEPS, "MatchCriteria": MATCH, "LookbackWindowMinutes": 60, "Schedule": RATE}
SIGNALS = [{"ID": s["ID"], "Matches": {"userIdentity.arn": {USER["arn"]: [1]}}} for s in STEPS]
PAIRED = [{"Name": "pairs", "ExpectedResult": True, "RuleOutputs": SIGNALS}]
RULES: dict[str, tuple[dict, str | None]] = {
    "Streaming": (STREAM | {"InlineFilters": [LISTS]}, UDM),
    "Simple": (STREAM | {"Detection": [LISTS]}, None),
    "Scheduled": ({"AnalysisType": "scheduled_rule", "ScheduledQueries": ["Matrix"]}, ALWAYS),
    "Correlation": (
        {"AnalysisType": "correlation_rule", "Detection": [GROUP], "Tests": PAIRED},
        None,
    ),
}
IDS = {f"Matrix.{name}" for name in RULES}


def write_kinds(folder: Path) -> None:
    """Add the rules to a repository that has a data model of CloudTrail."""
    rules = folder / "rules" / "matrix"
    rules.mkdir(parents=True)
    for name, (fields, body) in RULES.items():
        spec = {"RuleID": f"Matrix.{name}", "Enabled": True, "Severity": "Info", **fields}
        if body:
            spec["Filename"] = f"{name.lower()}.py"
            (rules / spec["Filename"]).write_text(body)
        (rules / f"{name.lower()}.yml").write_text(yaml.safe_dump(spec, sort_keys=False))
    query = {"AnalysisType": "scheduled_query", "QueryName": "Matrix", "Enabled": True}
    query |= {"SnowflakeQuery": SQL, "Schedule": RATE}
    (folder / "queries" / "matrix.yml").write_text(yaml.safe_dump(query, sort_keys=False))
