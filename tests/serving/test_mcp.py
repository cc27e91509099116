"""Panther's unmodified MCP server against the local instance: its tools, and an investigation.

With TEST_SCALE=full, the server is installed into `build/mcp-panther`; otherwise the tests need it
there.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from graphql import build_client_schema, get_introspection_query

from local_panther.times import iso
from tests.builders.events import REPO
from tests.builders.replays import BLOCKLIST, CORRELATION
from tests.instance.conftest import TOKEN, archive
from tests.scale import FULL
from tests.serving.conftest import attack, content_files, fed
from tests.serving.tables import assert_documented
from tests.serving.test_lake import GET, START

pytestmark = pytest.mark.process

ENVIRONMENT = REPO / "build" / "mcp-panther"
HERE = Path(__file__).parent
NEWEST = ("python3.14", "python3.13", "python3.12")
JANUARY = {"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-02-01T00:00:00Z"}
UNSUPPORTED = "not supported by the local Panther"
NO_UUID = "00000000-0000-0000-0000-000000000000"


def pyenv() -> list[Path]:
    """Return the Pythons of pyenv, whose shims on the PATH do not run unless selected."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    return sorted(root.glob("versions/3.1[2-9].*/bin/python"), reverse=True)


def runs(python: str | None) -> bool:
    """Return whether a Python exists and runs."""
    found = python and shutil.which(python)
    return bool(found) and not subprocess.run([found, "--version"], capture_output=True).returncode


def environment() -> Path:
    """Return the Python of an environment with mcp-panther; skip the test if there is none."""
    python = ENVIRONMENT / "bin" / "python"
    if (ENVIRONMENT / "bin" / "mcp-panther").exists():
        return python
    if not FULL:
        pytest.skip(f"mcp-panther is not in {ENVIRONMENT}; TEST_SCALE=full installs it")
    base = next(filter(runs, [os.environ.get("MCP_PYTHON"), *NEWEST, *map(str, pyenv())]), None)
    if base is None:
        pytest.skip("mcp-panther needs Python 3.12 or later; name one in MCP_PYTHON")
    subprocess.run([base, "-m", "venv", ENVIRONMENT], check=True)
    requirements = str(HERE / "mcp-requirements.txt")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return python


class Tools:
    """The tools of mcp-panther.

    Attributes:
        names: The names of all tools.
        answers: "data" or the error message, for each tool that was called.
    """

    def __init__(self, python: Path, url: str, log: Path) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PANTHER_", "PYTHON"))
        }
        instance = {"PANTHER_INSTANCE_URL": url, "PANTHER_API_TOKEN": TOKEN}
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [python, str(HERE / "mcp_calls.py")],
                env=clean | instance,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line, log.read_text()
        self.names: list[str] = json.loads(line)
        self.answers: dict[str, str] = {}

    def call(self, name: str, **arguments) -> dict:
        self.process.stdin.write(json.dumps([name, arguments]) + "\n")
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        assert not result["is_error"], (name, result)
        answer = json.loads(result["text"])
        if answer["success"]:
            assert (
                not answer.get("results", {})
                or "failed_operations" not in answer["results"]
                or (answer["results"]["failed_operations"] == [])
            ), answer
            self.answers[name] = "data"
        else:
            self.answers[name] = answer["message"]
        return answer


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    python = environment()
    folder = tmp_path_factory.mktemp("mcp")
    with fed(folder / "state", attack(folder), content=archive(content_files())) as client:
        found = Tools(python, client.url.replace("/public/graphql", ""), folder / "log")
        yield found
        found.process.stdin.close()
        found.process.wait(30)


def test_an_analyst_can_investigate_and_resolve_an_alert(tools):
    """List critical alerts, read the events of one, query the lake, comment, and resolve it."""
    (alert,) = tools.call("list_alerts", severities=["CRITICAL"], **JANUARY)["alerts"]
    assert alert["status"] == "OPEN"
    events = tools.call("get_alert_events", alert_id=alert["id"])["events"]
    principal = events[0]["principal"]
    sql = f"""SELECT eventName, count(*) AS calls, count(errorCode) AS failed
        FROM panther_logs.public.aws_cloudtrail
        WHERE userIdentity:arn = '{principal}' AND p_event_time > '2026-01-01'
        GROUP BY eventName"""
    found = tools.call("query_data_lake", sql=sql)
    calls = {row["eventName"]: row for row in found["results"]}
    assert calls["ListRoles"]["calls"] >= 1
    assert 10 <= calls["AssumeRole"]["failed"] < calls["AssumeRole"]["calls"]
    comment = f"{principal} is not ours; it got into a role"
    assert tools.call("add_alert_comment", alert_id=alert["id"], comment=comment)["success"]
    done = tools.call("update_alert_status", alert_ids=[alert["id"]], status="RESOLVED")
    assert done == {"success": True, "alerts": [alert["id"]]}
    after = tools.call("get_alert", alert_id=alert["id"])["alert"]
    assert after["status"] == "RESOLVED"
    comments = tools.call("list_alert_comments", alert_id=alert["id"])["comments"]
    assert [entry["body"] for entry in comments] == [comment]
    left = tools.call("list_alerts", severities=["CRITICAL"], statuses=["OPEN"], **JANUARY)
    assert left["alerts"] == []


def test_every_tool_returns_data_or_is_reported_as_not_supported(tools):
    call = tools.call
    alerts = call("list_alerts", **JANUARY)["alerts"]
    ids = [alert["id"] for alert in alerts]
    (first, *_) = ids
    (user,) = call("list_users")["users"]
    rule = {"detection_id": BLOCKLIST}
    kinds = ["rules", "scheduled_rules", "simple_rules", "policies"]
    call("get_alert", alert_id=first)
    call("list_alert_comments", alert_id=first)
    call("add_alert_comment", alert_id=first, comment="seen")
    call("update_alert_status", alert_ids=[first], status="TRIAGED")
    call("update_alert_assignee", alert_ids=[first], assignee_id=user["id"])
    call("get_alert_events", alert_id=first)
    bulk = call("bulk_update_alerts", alert_ids=ids, status="CLOSED", comment="all of them")
    assert bulk["summary"]["successful_operations"] == 2 * len(ids)
    call("start_ai_alert_triage", alert_id=first)
    call("get_ai_alert_triage_summary", alert_id=first)
    stats = call("get_alert_event_stats", alert_ids=ids, **JANUARY)
    named = {alert_id for row in stats["results"] for alert_id in row["alert_ids"]}
    assert named == set(ids)
    call("query_data_lake", sql="SELECT 1 AS one")
    for database in call("list_databases")["databases"]:
        for table in call("list_database_tables", database=database["name"])["tables"]:
            name = {"database_name": database["name"], "table_name": table["name"]}
            assert call("get_table_schema", **name)["columns"]
    (model,) = call("list_data_models")["data_models"]
    call("get_data_model", data_model_id=model["id"])
    assert call("list_detections", detection_types=kinds)["total_all_detections"] >= 4
    call("get_detection", **rule)
    assert call("disable_detection", **rule)["rule"]["enabled"] is False
    helpers = call("list_global_helpers")["global_helpers"]
    call("get_global_helper", helper_id=helpers[0]["id"])
    assert call("get_severity_alert_metrics", **JANUARY)["total_alerts"] == len(ids)
    rules = call("get_rule_alert_metrics", rule_ids=[CORRELATION], **JANUARY)
    assert [entry["value"] for entry in rules["alerts_per_rule"]] == [1]
    recent = [iso(time.time() + days * 86_400) for days in (-1, 1)]
    taken_in = dict(zip(("start_date", "end_date"), recent, strict=True))
    assert call("get_bytes_processed_metrics", **taken_in)["total_bytes"] > 0
    assert "Manage Alerts" in call("get_permissions")["permissions"]
    (role,) = call("list_roles")["roles"]
    call("get_role", role_id=role["id"])
    queries = call("list_scheduled_queries")["queries"]
    assert call("get_scheduled_query", query_id=queries[0]["id"])["query"]["sql"]
    call("list_log_type_schemas", contains="CloudTrail")
    call("get_log_type_schema_details", schema_names=["AWS.CloudTrail"])
    assert len(call("list_log_sources")["sources"]) == 1
    call("get_http_log_source", source_id=NO_UUID)
    call("get_user", user_id=user["id"])

    assert set(tools.answers) == set(tools.names)
    for name, answer in tools.answers.items():
        assert answer == "data" or UNSUPPORTED in answer, (name, answer)
    answered = {n: "data" if a == "data" else "not supported" for n, a in tools.answers.items()}
    rows = [f"| `{name}` | {answer} |" for name, answer in sorted(answered.items())]
    assert_documented("mcp-panther", ["| tool | answer |", "|---|---|", *rows])


def test_the_requests_of_an_investigation_succeed_over_http(lake):
    """Send the requests of mcp-panther, without its installation."""
    (alert,) = lake.get("/alerts", severity="CRITICAL", limit=25, sort_dir="desc")["results"]
    (event, *_) = lake.get(f"/alerts/{alert['id']}/events", limit=10)["results"]
    sql = f"""SELECT eventName, count(*) AS calls FROM aws_cloudtrail
        WHERE userIdentity:arn = '{event["principal"]}' GROUP BY eventName"""
    query = lake.ask(START, i={"sql": sql, "databaseName": "panther_logs.public"})["id"]
    while (found := lake.ask(GET, id=query, input={"pageSize": 100}))["status"] == "running":
        time.sleep(0.02)
    assert "AssumeRole" in [edge["node"]["eventName"] for edge in found["results"]["edges"]]
    comment = {"alertId": alert["id"], "body": "seen", "format": "PLAIN_TEXT"}
    assert lake.rest("POST", "/alert-comments", comment)[0] == 200
    change = {"ids": [alert["id"]], "status": "RESOLVED"}
    assert lake.rest("PATCH", "/alerts", change) == (204, None)
    assert lake.get(f"/alerts/{alert['id']}")["status"] == "RESOLVED"
    lake.rest("PATCH", "/alerts", change | {"status": "OPEN"})


def test_clients_of_the_specification_of_2021_can_load_the_schema(lake):
    answer = lake.send(get_introspection_query(input_value_deprecation=True))
    schema = build_client_schema(answer["data"])
    assert "executeDataLakeQuery" in schema.mutation_type.fields
    places = {place.name for directive in schema.directives for place in directive.locations}
    assert "DIRECTIVE_DEFINITION" not in places  # gql 3.5 raises a KeyError for it
