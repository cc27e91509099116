"""Every form of CloudTrail gives the same alerts, named by path or found in a folder."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from local_panther.simulate.identities import PrincipalKind
from local_panther.times import parse_time
from tests.builders.events import REPO, START, call
from tests.builders.forms import (
    FORMS,
    OTHERS,
    csv_table,
    event_data_csv,
    lines,
    parquet,
    text_parquet,
)
from tests.builders.reading import read
from tests.builders.replays import replayed, simulated
from tests.records.test_changed_forms import CHANGES
from tests.scale import FULL


@pytest.fixture(scope="module")
def attacks(tmp_path_factory):
    """Return records of attacks by each kind of principal, with successes."""
    folder = tmp_path_factory.mktemp("attacks")
    found = []
    for i, kind in enumerate(PrincipalKind):
        trail = simulated(folder / f"{i}.jsonl", seed=i, ordinary=20, principal=kind, succeed=1)
        found += [json.loads(line) for line in trail.read_text().splitlines()]
    return found


def essence(records):
    """Return records by ID without null and empty fields and Panther's own, with parsed times."""
    return {record["eventID"]: _essence(record) for record in records}


def _essence(value):
    if isinstance(value, dict):
        found = {key: _essence(entry) for key, entry in value.items() if key[:2] != "p_"}
        return {key: entry for key, entry in found.items() if entry not in (None, {}, [])}
    if isinstance(value, str) and (time := parse_time(value)):
        return time  # tables write times in other formats
    if isinstance(value, list):
        return [_essence(entry) for entry in value]
    return str(value).lower() if isinstance(value, bool) else value


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
class TestForm:
    def test_a_form_has_the_same_records_by_path_and_in_a_folder(self, tmp_path, attacks, form):
        path = tmp_path / form.name
        path.write_bytes(form.write(attacks))
        expected = essence(attacks)
        for where in (path, tmp_path):
            found, tally = read(where)
            assert not tally.problems and tally.files == 1
            got = essence([json.loads(record.raw) for record in found])
            assert got.keys() == expected.keys()
            for event_id, record in expected.items():
                assert got[event_id] == record
        assert sorted(r.time for r in found) == sorted(
            r.time for r in read_lines(attacks, tmp_path)
        )

    def test_a_form_is_recognised_by_its_content(self, tmp_path, attacks, form):
        path = tmp_path / "some-file"
        path.write_bytes(form.write(attacks))
        assert len(read(tmp_path)[0]) == len(attacks)

    @pytest.mark.skipif(not FULL, reason="a replay of each form: make test-full")
    def test_a_form_gives_the_same_alerts(self, tmp_path, attacks, form):
        (tmp_path / "lines.jsonl").write_bytes(lines(attacks))
        expected = alerts(replayed(tmp_path / "lines.jsonl", include_disabled=True))
        (tmp_path / "form").mkdir()
        (tmp_path / "form" / form.name).write_bytes(form.write(attacks))
        assert alerts(replayed(tmp_path / "form", include_disabled=True)) == expected


def read_lines(records, tmp_path):
    path = tmp_path.parent / f"{tmp_path.name}.jsonl"
    path.write_bytes(lines(records))
    return read(path)[0]


def alerts(outcome):
    assert outcome.complete
    return [(a.metadata.rule_id, a.severity, a.dedup, a.event_count) for a in outcome.alerts]


def test_a_folder_with_a_file_of_each_form_gives_all_alerts(tmp_path, attacks):
    (tmp_path / "lines.jsonl").write_bytes(lines(attacks))
    expected = alerts(replayed(tmp_path / "lines.jsonl", include_disabled=True))
    folder = tmp_path / "all"
    folder.mkdir()
    for i, form in enumerate(FORMS):
        part = [r | {"eventID": f"{r['eventID']}"} for r in attacks[i :: len(FORMS)]]
        (folder / f"{i}-{form.name}").write_bytes(form.write(part))
    for name, content, _ in OTHERS:
        (folder / name).write_bytes(content)
    outcome = replayed(folder, include_disabled=True, workers=2)
    assert alerts(outcome) == expected and len(expected) >= 3
    are_json = [name for name, _, _ in OTHERS if ".json" in name]
    assert outcome.tally.files == len(FORMS) + len(are_json)


@pytest.mark.parametrize(("name", "content", "kind"), OTHERS, ids=[name for name, _, _ in OTHERS])
def test_other_data_than_cloudtrail_is_counted_by_kind(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    found, tally = read(tmp_path)
    assert not found and not tally.problems
    assert tally.other == {kind: 1}


class TestTable:
    def test_a_table_of_the_console_is_read_and_its_missing_columns_reported(self, tmp_path):
        header = [
            "Event ID",
            "Event name",
            "Event time",
            "Event source",
            "User name",
            "AWS access key",
            "Resources",
        ]
        row = [
            "e-1",
            "ListRoles",
            "2026-01-05T10:00:00Z",
            "iam.amazonaws.com",
            "alice",
            "AKIAEXAMPLE",
            "",
        ]
        (tmp_path / "event_history.csv").write_bytes(csv_table(header, [row]))
        ((record,), tally) = read(tmp_path)
        assert record.name == "ListRoles" and record.time == START
        assert record.event()["userIdentity"]["userName"] == "alice"
        (problem,) = tally.problems
        assert "requestParameters, errorMessage" in problem.message

    def test_a_table_of_security_lake_is_refused_with_advice(self, tmp_path):
        ocsf = [{"class_uid": 6003, "metadata": {"product": {"name": "CloudTrail"}}, "time": 1}]
        (tmp_path / "a.gz.parquet").write_bytes(parquet(ocsf, "SELECT * FROM {read}"))
        (tmp_path / "b.jsonl").write_bytes(lines(ocsf))
        found, tally = read(tmp_path)
        assert not found and len(tally.problems) == 2
        assert all("OCSF" in p.message and "delivers to S3" in p.message for p in tally.problems)

    def test_a_table_of_other_columns_is_reported(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(parquet([{"x": 1}], "SELECT * FROM {read}"))
        (tmp_path / "b.csv").write_text("name,age\nalice,7\n")
        found, tally = read(tmp_path)
        assert not found and "columns x" in tally.problems[0].message
        assert tally.other == {"other files": 1}

    def test_a_broken_table_is_reported_by_file(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\0" * 100)
        (tmp_path / "b.csv").write_bytes(b'eventID,eventData\n"1","{""eventName"": \n')
        _, tally = read(tmp_path)
        assert {Path(p.where.split(",")[0]).name for p in tally.problems} == {"a.parquet", "b.csv"}

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_csv_may_have_other_delimiters(self, tmp_path, delimiter):
        text = delimiter.join(["eventname", "eventtime", "eventsource"]) + "\n"
        text += delimiter.join(["ListRoles", "2026-01-05T10:00:00Z", "iam.amazonaws.com"]) + "\n"
        (tmp_path / "a.csv").write_text(text)
        ((record,), _) = read(tmp_path)
        assert record.name == "ListRoles"


def test_messages_of_other_logs_are_counted(tmp_path):
    messages = ("START RequestId", "{", json.dumps(call("ListRoles")), '{"eventName": "Assume')
    events = [{"timestamp": 1, "message": message} for message in messages]
    (tmp_path / "a.json").write_text(json.dumps({"events": events}))
    found, tally = read(tmp_path)
    assert len(found) == 1 and tally.other == {"log messages that are not CloudTrail": 2}
    assert [problem.message.split(":")[0] for problem in tally.problems] == ["malformed JSON"]


def test_a_file_of_other_messages_is_counted_once(tmp_path):
    events = [{"timestamp": 1, "message": "START RequestId"}] * 3
    (tmp_path / "a.json").write_text(json.dumps({"events": events}))
    assert read(tmp_path)[1].other == {"log messages that are not CloudTrail": 1}


def test_forms_within_forms_are_read(tmp_path):
    inner = {"detail-type": "AWS API Call via CloudTrail", "detail": call("ListRoles")}
    event = {"timestamp": 1, "message": json.dumps(inner)}
    notification = {"Type": "Notification", "TopicArn": "x", "Message": json.dumps(event)}
    (tmp_path / "a.jsonl").write_bytes(lines([{"result": {"_raw": json.dumps(notification)}}]))
    assert len(read(tmp_path)[0]) == 1


def table_below(header):
    """Return the rows of a table of docs/inputs.md, without the marks of code."""
    _, _, below = (REPO / "docs" / "inputs.md").read_text().partition(f"{header}\n")
    rows = below.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip(" `") for cell in row.strip("|").split(" | ")] for row in rows]


def test_the_documentation_lists_exactly_the_tested_forms_changes_and_other_files():
    forms = table_below("| From | Form | File in the test |")
    assert [file for _, _, file in forms] == [form.name for form in FORMS]
    assert [name for _, name in table_below("| Change | Name in the test |")] == list(CHANGES)
    others = [[name, kind] for name, _, kind in OTHERS]
    assert table_below("| File | Counted as |") == others


def test_tables_and_archives_within_archives_are_read(tmp_path):
    found = [call("ListRoles", time=START + i, eventID=f"event-{i}") for i in range(4)]
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("table.parquet", text_parquet(found[:2]))
        archive.writestr("lines.csv", event_data_csv(found[2:]))
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as outer:
        info = tarfile.TarInfo("inner.zip")
        info.size = inner.tell()
        inner.seek(0)
        outer.addfile(info, inner)
    records, tally = read(tmp_path)
    assert len(records) == 4 and not tally.problems
    assert records[0].where == f"{tmp_path}/all.tar.gz/inner.zip/table.parquet, row 1"
