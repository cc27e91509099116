"""A generated content repository with every kind of item found in public repositories."""

from pathlib import Path

import yaml

RATE = {"RateMinutes": 60, "TimeoutMinutes": 5}
CLOUDTRAIL_SQL = "SELECT * FROM panther_logs.public.aws_cloudtrail WHERE {}"
MACROS = (
    "p_occurs_since(1h)",
    "p_occurs_since(90m)",
    "p_occurs_since(1 hour)",
    "p_occurs_since(1h, , p_parse_time)",
    "p_occurs_since('1 day') AND eventName = 'p_occurs_since(1h)' -- p_occurs_since(",
    "p_occurs_between('2026-01-01', current_timestamp)",
)
TEMPLATE = """-- pragma: template
{% macro newest(table, interval) export %}
SELECT eventID FROM {{ table }} WHERE p_occurs_since({{ interval }})
{% endmacro %}
"""
TEMPLATED = """-- pragma: template
{% import 'Macros' newest %}
WITH recent AS (SELECT * FROM panther_logs.public.aws_cloudtrail WHERE p_occurs_since(2h))
{{ newest('recent', '30 m') }}
"""


def repository(folder: Path, items: int = 1000) -> Path:
    """Write a repository with about `items` items of every kind, for several log types."""
    put = _Writer(folder)
    put.python("global_helpers/shared_helper", {"AnalysisType": "global", "GlobalID": "shared"})
    others = ("Okta.SystemLog", "GCP.AuditLog", "Custom.Own.Logs", "Windows.EventLogs")
    for number in range(items - 30):
        log_type = "AWS.CloudTrail" if number % 4 == 0 else others[number % 3]
        put.rule(f"Own.Rule.{number}", log_type, Enabled=number % 7 != 0)
    put.rule("Own.Empty.Filter", InlineFilters=[{"All": []}])
    nested = [{"Any": [{"All": []}, {"KeyPath": "a", "Condition": "Equals", "Value": "b"}]}]
    put.rule("Own.Nested.Filter", InlineFilters=nested)
    for number, macro in enumerate(MACROS):
        put.query(f"Macro {number}", CLOUDTRAIL_SQL.format(macro), Schedule=RATE)
    put.query("Macros", TEMPLATE)
    put.query("Templated", TEMPLATED, Schedule=RATE)
    put.query("Other Table", "SELECT * FROM panther_logs.public.okta_systemlog", Schedule=RATE)
    put.query(
        "Disabled", "SELECT * FROM panther_logs.public.gcp_auditlog", Schedule=RATE, Enabled=False
    )
    for name in ("Templated", "Other Table", "Macro 0"):
        rule_id = f"Own.Scheduled.{name.replace(' ', '.')}"
        put.rule(rule_id, None, kind="scheduled_rule", ScheduledQueries=[name])
    for step in ("Own.Rule.4", "Own.Rule.5"):
        put.correlation(f"Own.Correlation.{step}", "Own.Rule.8", step)
    put.data_model("AWS.CloudTrail")
    put.data_model("Okta.SystemLog")
    put.policy("Own.Policy")
    return folder


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def spec(self, path: str, spec: dict) -> None:
        file = self._folder / f"{path}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(spec, sort_keys=False))

    def python(self, path: str, spec: dict, body: str = "VALUE = 1\n") -> None:
        name = path.rsplit("/")[-1]
        self.spec(path, {**spec, "Filename": f"{name}.py"})
        (self._folder / f"{path}.py").write_text(body)

    def rule(self, rule_id: str, log_type="AWS.CloudTrail", kind="rule", **fields) -> None:
        spec = {"AnalysisType": kind, "RuleID": rule_id, "Enabled": True, "Severity": "Info"}
        spec |= {"LogTypes": [log_type]} if log_type else {}
        tests = [
            {"Name": str(expected), "ExpectedResult": expected, "Log": {"eventName": name}}
            for expected, name in ((True, rule_id), (False, "other"))
        ]
        body = (
            f"import shared\ndef rule(event):\n    return event.get('eventName') == '{rule_id}'\n"
        )
        path = f"rules/own_rules/{rule_id.lower().replace('.', '_')}"
        self.python(path, {**spec, "Tests": tests, **fields}, body)

    def query(self, name: str, sql: str, **fields) -> None:
        kind = "scheduled_query" if "Schedule" in fields else "saved_query"
        spec = {"AnalysisType": kind, "QueryName": name, "Query": sql}
        spec |= {"Enabled": True} if "Schedule" in fields else {}
        self.spec(f"queries/{name.lower().replace(' ', '_')}", {**spec, **fields})

    def correlation(self, rule_id: str, *steps: str) -> None:
        group = [{"ID": step, "RuleID": step} for step in steps]
        detection = [{"Group": group, "Schedule": RATE, "LookbackWindowMinutes": 90}]
        spec = {"AnalysisType": "correlation_rule", "RuleID": rule_id, "Enabled": True}
        spec |= {"Severity": "Low", "Detection": detection}
        self.spec(f"correlation_rules/{rule_id.lower().replace('.', '_')}", spec)

    def data_model(self, log_type: str) -> None:
        mappings = [{"Name": "source_ip", "Path": "$.a.b"}, {"Name": "user", "Path": "user"}]
        spec = {"AnalysisType": "datamodel", "LogTypes": [log_type], "Enabled": True}
        spec |= {"DataModelID": f"Own.{log_type}", "Mappings": mappings}
        self.spec(f"data_models/{log_type.lower().replace('.', '_')}", spec)

    def policy(self, policy_id: str) -> None:
        spec = {"AnalysisType": "policy", "PolicyID": policy_id, "Enabled": True}
        spec |= {"Severity": "Low", "ResourceTypes": ["AWS.S3.Bucket"]}
        body = "def policy(resource):\n    return True\n"
        self.python("policies/own_policy", spec, body)
