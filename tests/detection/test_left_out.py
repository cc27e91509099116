"""A rule that never returns does not cost the time limit for each record."""

import pytest
import yaml

from local_panther.containment import contained
from local_panther.content.load import loaded_content
from local_panther.detection import rule_engine as engine
from local_panther.detection.rule_engine import Engine
from local_panther.detection.store import key_value_store
from local_panther.errors import RunErrors
from local_panther.lake.preparing import empty_lake
from tests.builders.events import START, call, read_record

pytestmark = pytest.mark.attack("rules")
BODIES = {
    "Loops": "def rule(event):\n    while True:\n        pass\n",
    "Goes.On": "def rule(event):\n    return True\n",
}


def test_a_rule_that_was_stopped_three_times_is_left_out_and_reported(tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    for name, body in BODIES.items():
        spec = {"AnalysisType": "rule", "RuleID": name, "Filename": f"{name}.py"}
        spec |= {"Enabled": True, "Severity": "Info", "LogTypes": ["AWS.CloudTrail"]}
        (rules / f"{name}.yml").write_text(yaml.safe_dump(spec))
        (rules / f"{name}.py").write_text(body)
    errors, found = RunErrors(), []
    with (
        contained(0.05),
        key_value_store(),
        loaded_content(tmp_path, checks=empty_lake) as content,
    ):
        running = Engine(content, errors)
        for number in range(10):
            record = read_record(call("ListRoles", time=START + number, eventID=str(number)))
            found += [signal.metadata.rule_id for signal in running.run(record)]
    assert found == ["Goes.On"] * 10
    assert errors.counts == {"Loops": engine.MAX_STOPPED + 1}
    assert "is left out from here on: stopped 3 times" in str(errors.examples[-1])
