"""Exports: alerts as CSV and as OCSF's Detection Findings."""

import csv
import io
import json
from collections import Counter

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocsf_json_schema import get_ocsf_schema
from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded

from local_panther.content.model import Content
from local_panther.errors import RunErrors
from local_panther.output.alerts_csv import COLUMNS, write_alerts_csv
from local_panther.output.jsonlines import write_alerts
from local_panther.output.ocsf import VERSION, write_findings
from local_panther.output.rows import FORMULA_STARTS, cell
from local_panther.records.model import Tally
from local_panther.replay import Outcome
from tests.builders import hostile
from tests.builders.alerts import alert
from tests.builders.events import role_arn
from tests.builders.replays import replayed, simulated


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    trail = tmp_path_factory.mktemp("trail")
    simulated(trail, succeed=1, blocklisted=role_arn("FullAdminRole"))
    return replayed(trail, include_disabled=True)


def text_of(write, outcome):
    out = io.StringIO()
    write(outcome, out)
    return out.getvalue()


def rows_of(outcome):
    return list(csv.DictReader(io.StringIO(text_of(write_alerts_csv, outcome), newline="")))


def test_csv_has_a_row_for_each_alert(outcome):
    rows = rows_of(outcome)
    assert [tuple(row) for row in rows] == [COLUMNS] * 3
    assert [row["severity"] for row in rows] == ["HIGH", "HIGH", "CRITICAL"]
    assert [row["incident"] for row in rows] == ["2", "1", "1"]
    assert (rows[2]["roles_tried"], rows[2]["roles_entered"]) == ("12", "1")
    assert rows[2]["verdict"].startswith("ENTERED 1 of 12 roles: mallory")


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_text_from_outside_is_a_formula_in_a_spreadsheet(start):
    text = f'{start}HYPERLINK("https://example.com")'
    who = {"type": "IAMUser", "arn": text}
    event = {"eventID": "1", "userIdentity": who, "userAgent": text, "sourceIPAddress": text}
    made = alert(event, title=text, reference=text)
    (row,) = rows_of(Outcome(Tally(), [made], {}, RunErrors(), Content()))
    assert not any(value.startswith(start) for value in row.values())
    assert row["title"] == f"'{text}"


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_a_cell_is_never_a_formula_and_loses_nothing_printable(value):
    made = cell(value)
    if isinstance(made, str):
        assert not made.lstrip(" ").startswith(FORMULA_STARTS)
        made.encode()
    if isinstance(value, str) and all(char.isprintable() or char in "\t\r\n" for char in value):
        assert made.removeprefix("'") == value.removeprefix("'")


SCHEMA = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION)).get_class_schema(
    class_name="detection_finding", profiles=["incident"]
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def findings_of(outcome):
    return [json.loads(line) for line in text_of(write_findings, outcome).splitlines()]


def problems(finding):
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(finding)]


def test_a_finding_is_valid_by_the_published_schema(outcome):
    findings = findings_of(outcome)
    assert len(findings) == 3 and [problems(finding) for finding in findings] == [[], [], []]
    (critical,) = (f for f in findings if f["severity_id"] == 5)
    assert (critical["class_uid"], critical["type_uid"]) == (2004, 200401)
    assert critical["message"].startswith("ENTERED 1 of 12 roles: mallory")
    assert critical["finding_info"]["analytic"]["uid"] == "AWS.CloudTrail.RoleEscalationSucceeded"
    assert critical["finding_info"]["first_seen_time"] == 1_767_607_200_000  # the listing
    attack = critical["finding_info"]["attacks"][0]
    assert attack["sub_technique"]["uid"] == "T1548.005"


def test_the_schema_refuses_what_is_not_a_finding(outcome):
    finding = findings_of(outcome)[0]
    for name in ("finding_info", "time", "metadata"):
        assert problems({key: value for key, value in finding.items() if key != name})


def test_the_same_replay_gives_the_same_ids_and_different_alerts_different_ones(outcome):
    ids = [finding["finding_info"]["uid"] for finding in findings_of(outcome)]
    assert len(set(ids)) == 3
    assert ids == [finding["finding_info"]["uid"] for finding in findings_of(outcome)]


def hostile_alert(text):
    event = {
        "eventID": text,
        "eventName": text,
        "userAgent": text,
        "sourceIPAddress": text,
        text: 1,
    }
    event |= {"userIdentity": {"type": "IAMUser", "arn": text}, "requestParameters": {text: [text]}}
    fields = {"title": text, "dedup": text, "reference": text, "runbook": text, "description": text}
    return alert(event, context={text: text, "list": [text]}, **fields)


@pytest.mark.attack("output")
@pytest.mark.parametrize("text", hostile.TEXTS.values(), ids=hostile.TEXTS)
class TestHostileText:
    @pytest.fixture
    def outcome(self, text):
        return Outcome(Tally(), [hostile_alert(text)], Counter(), RunErrors(), Content())

    def test_hostile_text_is_one_cell_and_no_formula(self, text, outcome):
        (row,) = rows_of(outcome)
        assert set(row) == set(COLUMNS)
        assert not any(value.lstrip(" ").startswith(FORMULA_STARTS) for value in row.values())
        shown = [c for value in row.values() for c in set(value)]
        assert [c for c in shown if not (c.isprintable() or c in "\t\r\n")] == []
        if text.isprintable():
            assert row["title"] in (text, f"'{text}")

    def test_hostile_text_is_unchanged_in_json(self, text, outcome):
        (line,) = text_of(write_alerts, outcome).splitlines()
        assert line.isascii() and line.isprintable()
        found = json.loads(line, parse_constant=pytest.fail)
        assert found["title"] == found["context"][text] == found["events"][0]["userAgent"] == text

    def test_hostile_text_is_unchanged_in_a_valid_finding(self, text, outcome):
        (line,) = text_of(write_findings, outcome).splitlines()
        finding = json.loads(line, parse_constant=pytest.fail)
        assert line.isascii() and line.isprintable() and problems(finding) == []
        assert finding["unmapped"]["context"][text] == text
        assert finding["evidences"][0]["data"]["userAgent"] == text


ODD = st.recursive(
    st.none() | st.text() | st.integers(-(2**53), 2**53), lambda x: st.lists(x, max_size=2)
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "userIdentity": ODD | st.fixed_dictionaries({}, optional={"arn": ODD, "type": ODD}),
        "sourceIPAddress": ODD,
        "eventName": ODD,
        "eventSource": ODD,
        "eventID": st.text(),
    },
)


@settings(max_examples=40)
@given(EVENTS, st.sampled_from(["INFO", "CRITICAL", "ODD"]), st.text())
def test_a_finding_is_valid_whatever_an_event_holds(event, severity, title):
    made = alert(event, severity=severity, title=title)
    (finding,) = findings_of(Outcome(Tally(), [made], {}, RunErrors(), Content()))
    assert problems(finding) == []
