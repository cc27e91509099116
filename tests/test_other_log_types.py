"""`replay --log-type` runs rules for other log types on JSON lines."""

import gzip
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from local_panther.cli import app
from local_panther.content.log_schema import LogSchema, read_schema
from local_panther.errors import FieldError
from local_panther.records.trail import Trail
from local_panther.replay import replay

NAME = "Custom.Application.Audit"
SCHEMA = {
    "schema": NAME,
    "version": 0,
    "fields": [
        {"name": "at", "type": "timestamp", "timeFormats": ["unix_ms"], "isEventTime": True},
        {
            "name": "who",
            "type": "object",
            "fields": [
                {"name": "name", "type": "string", "indicators": ["username"]},
                {
                    "name": "ips",
                    "type": "array",
                    "element": {"type": "string", "indicators": ["ip"]},
                },
            ],
        },
    ],
}
BODY = """
def rule(event):
    return event.get("action") == "delete" and event.udm("actor_user") == "alice"

def title(event):
    return " ".join([*event.get("p_any_usernames"), *event.get("p_any_ip_addresses", [])])

def dedup(event):
    return event.get("p_log_type")
"""
START = 1_767_607_200_000  # 2026-01-05T10:00:00Z, in milliseconds


@pytest.fixture
def content(tmp_path) -> Path:
    folder = tmp_path / "content"
    (folder / "rules").mkdir(parents=True)
    (folder / "data_models").mkdir()
    rule = {
        "AnalysisType": "rule",
        "RuleID": "Test.Delete",
        "Filename": "rule.py",
        "Enabled": True,
        "LogTypes": [NAME],
        "Severity": "High",
    }
    model = {
        "AnalysisType": "datamodel",
        "DataModelID": "Test.Model",
        "Enabled": True,
        "LogTypes": [NAME],
        "Mappings": [{"Name": "actor_user", "Path": "$.who.name"}],
    }
    (folder / "rules" / "rule.yml").write_text(yaml.safe_dump(rule))
    (folder / "rules" / "rule.py").write_text(BODY)
    (folder / "data_models" / "model.yml").write_text(yaml.safe_dump(model))
    trail = rule | {"RuleID": "Test.Trail", "LogTypes": ["AWS.CloudTrail"]}
    (folder / "rules" / "trail.yml").write_text(yaml.safe_dump(trail))
    return folder


@pytest.fixture
def schema(tmp_path) -> Path:
    path = tmp_path / "schema.yml"
    path.write_text(yaml.safe_dump(SCHEMA))
    return path


def event(number: int, **fields) -> dict:
    who = {"name": "alice", "ips": ["203.0.113.9", "203.0.113.10"]}
    return {"at": START + 1000 * number, "action": "delete", "who": who, "nothing": None, **fields}


def write(path: Path, *events: dict | str) -> Path:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in events]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ("log.json", "log.json.gz"))
def test_rules_data_models_and_indicators_apply_to_events_of_the_log_type(
    content, schema, tmp_path, name
):
    other = event(2, who={"name": "bob"})
    log = write(tmp_path / name, event(0), other, event(1), event(1))
    outcome = replay(Trail([str(log)]), content, schema=read_schema(NAME, schema))
    (alert,) = outcome.alerts
    assert alert.title == "alice 203.0.113.10 203.0.113.9"
    assert alert.dedup == NAME and alert.event_count == 2
    assert alert.first == START / 1000 and alert.last == START / 1000 + 1
    assert (outcome.tally.records, outcome.tally.duplicates) == (4, 1)
    assert "nothing" not in alert.event and outcome.complete
    assert set(outcome.signals) == {"Test.Delete"}  # and no rule for CloudTrail


def test_unreadable_lines_are_counted_and_the_others_are_read(content, schema, tmp_path):
    log = write(tmp_path / "log", "{", "[1]", event(0), event(1, at="soon"), {"no": "time"})
    outcome = replay(Trail([str(log)]), content, schema=read_schema(NAME, schema))
    assert len(outcome.alerts) == 1 and not outcome.complete
    assert {problem.where for problem in outcome.tally.problems} == {
        f"{log}:{number}" for number in (1, 2, 4)
    }
    assert sum(problem.count for problem in outcome.tally.problems) == 4  # two without a time


def test_events_exported_from_an_instance_need_no_schema(content, tmp_path):
    stored = event(0, p_event_time="2026-01-05 10:00:00.000000000", p_any_usernames=["alice"])
    log = write(tmp_path / "log", stored)
    (alert,) = replay(Trail([str(log)]), content, schema=LogSchema(NAME)).alerts
    assert alert.title == "alice" and alert.first == START / 1000


@pytest.mark.parametrize(
    ("form", "value"),
    (
        ("rfc3339", "2026-01-05T10:00:00Z"),
        ("rfc3339", "2026-01-05T11:00:00+01:00"),
        ("unix", 1_767_607_200),
        ("unix", "1767607200.0"),
        ("unix_ns", 1_767_607_200_000_000_000),
        ("%d/%b/%Y:%H:%M:%S %z", "05/Jan/2026:10:00:00 +0000"),
        ("%Y-%m-%d %H:%M:%S", "2026-01-05 10:00:00"),
    ),
)
def test_times_are_read_in_the_formats_of_the_schema(form, value):
    field = {"name": "at", "type": "timestamp", "timeFormats": ["unix_ms", form]}
    only = LogSchema(NAME, [field | {"timeFormats": [form], "isEventTime": True}])
    assert only.time_of({"at": value}) == START / 1000


class TestCommandLine:
    def run(self, *arguments) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["replay", *map(str, arguments)])
        return done.exit_code, done.output

    def test_the_command_prints_the_alerts(self, content, schema, tmp_path):
        log = write(tmp_path / "log", event(0))
        options = ("--content", content, "--log-type", NAME, "--schema", schema)
        status, out = self.run(log, *options)
        assert status == 0 and "alice 203" in out

    @pytest.mark.parametrize(
        ("options", "message"),
        (
            (("--log-type", "No.Such"), "No.Such is not a known log type"),
            (("--schema", "x.yml"), "CloudTrail needs no --schema"),
            (("--log-type", NAME, "--schema", "gone.yml"), "gone.yml"),
        ),
    )
    def test_invalid_options_are_named(self, content, tmp_path, options, message):
        log = write(tmp_path / "log", event(0))
        status, out = self.run(log, "--content", content, *options)
        assert status == 2 and message in out


def test_an_invalid_schema_is_refused(tmp_path):
    path = tmp_path / "schema.yml"
    path.write_text(yaml.safe_dump(SCHEMA | {"fields": []}))
    with pytest.raises(FieldError, match="fields: must be a list of fields"):
        read_schema(NAME, path)


def test_a_cluster_is_refused_for_other_log_types(content, tmp_path):
    events = tmp_path / "events.jsonl"
    events.write_text("{}\n")
    options = ["--content", str(content), "--log-type", NAME, "--cluster", "tcp://127.0.0.1:1"]
    done = CliRunner().invoke(app, ["replay", str(events), *options])
    assert done.exit_code == 2 and "leave --cluster out" in " ".join(done.stderr.split())
