"""The command line: standard output, standard error and exit status of each command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aws_role_escalation_config import THRESHOLD
from isal import igzip

from tests.builders.events import REPO, role_arn
from tests.builders.replays import (
    BLOCKLIST,
    CORRELATION,
    ROLE_SEARCH,
    blocklist_is_enabled,
    simulated,
    started,
)

pytestmark = pytest.mark.process

COMMAND = Path(sys.executable).parent / "local-panther"


def run(*arguments, cwd=REPO, stdin=None):
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}  # pytest may set it
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def is_the_attack(out):
    """Return whether the only alerts are the attack's and, if enabled, the blocklist's."""
    rule_ids = [json.loads(line)["rule_id"] for line in out.splitlines()]
    return rule_ids == [*[BLOCKLIST] * blocklist_is_enabled(), ROLE_SEARCH]


@pytest.fixture
def trail(tmp_path):
    return simulated(tmp_path / "trail", blocklisted=role_arn("FullAdminRole"))


@pytest.fixture
def listed_last(tmp_path):
    """The same attack with roles listed afterwards, which the correlation rule finds."""
    blocklisted = role_arn("FullAdminRole")
    return simulated(tmp_path / "listed-last", blocklisted=blocklisted, discovery_last=True)


class TestReplay:
    def test_replay_prints_alerts_and_a_summary(self, trail):
        status, out, err = run("replay", trail, "--include-disabled")
        assert status == 0 and err == ""
        assert out.startswith("read 116 records in 94 files, 2026-01-05T09:00:00Z to ")
        assert out.splitlines()[1] == "2 incidents (2 HIGH) of 2 alerts"
        assert " HIGH " in out and "ENTERED role FullAdminRole: trent (IAM user" in out
        assert "DENIED AssumeRole on all 12 roles: mallory (IAM user, 123456789012) from" in out
        for text in ("Stop", "Runbook", "local-panther query", "Evidence", "duplicates dropped"):
            assert text in out
        assert "distinctTargets" not in out

    def test_details_have_the_contexts_of_the_rules(self, trail):
        _, out, _ = run("replay", trail, "--details")
        assert "distinctTargets" in out

    def test_json_has_the_same_keys_for_a_streaming_rule(self, trail):
        _, out, _ = run("replay", trail, "--include-disabled", "--format", "json")
        blocklisted, search = (json.loads(line) for line in out.splitlines())
        assert search["rule_id"] == ROLE_SEARCH and list(search) == list(blocklisted)
        assert (search["analysis_type"], search["severity"]) == ("rule", "HIGH")
        first = search["events"][0]  # the failure that reached the threshold, as delivered
        assert search["created_at"] == first["p_parse_time"][:19].replace(" ", "T") + "Z"
        assert search["event_count"] == 13 - THRESHOLD
        assert search["context"]["discoveryCameFirst"] is True

    def test_json_is_one_object_a_line_and_nothing_else(self, listed_last):
        status, out, err = run("replay", listed_last, "--include-disabled", "--format", "json")
        assert status == 0 and "records" in err
        alerts = [json.loads(line) for line in out.splitlines()]
        assert [alert["rule_id"] for alert in alerts] == [BLOCKLIST, CORRELATION]
        keys = ["incident", "verdict", "sentence", "session_of", "same_address", "principal"]
        keys += ["rule_id", "analysis_type", "type"]
        keys += ["severity", "title"]
        keys += ["dedup", "created_at", "first", "last", "mitre", "event_count", "event_ids"]
        keys += [
            "context",
            "destinations",
            "delivered",
            "runbook",
            "events",
            "events_left_out",
            "read",
        ]
        assert list(alerts[0]) == keys
        assert list(alerts[1]) == [*keys, "match_value", "signals"]
        assert {alert["type"] for alert in alerts} == {"RULE"}
        assert alerts[0]["analysis_type"] == "rule" and alerts[0]["severity"] == "HIGH"
        assert alerts[0]["created_at"] == "2026-01-05T10:04:30Z"
        assert alerts[0]["event_count"] == len(alerts[0]["event_ids"]) == 1
        assert [alert["incident"] for alert in alerts] == [1, 2]  # one got in
        assert alerts[0]["verdict"].startswith("ENTERED role FullAdminRole: trent")
        times = sorted(event["eventTime"][:19] for event in alerts[1]["events"])
        assert [alerts[1][key] for key in ("first", "last")] == [
            time.replace(" ", "T") + "Z" for time in (times[0], times[-1])
        ]
        assert alerts[1]["last"] == "2026-01-05T10:14:32Z"  # roles are listed last
        assert alerts[0]["mitre"] == ["TA0004:T1548"]
        assert [event["eventName"] for event in alerts[0]["events"]] == ["AssumeRole"]
        assert len(alerts[1]["events"]) == len(alerts[1]["event_ids"])
        (first, *_) = alerts[1]["runbook"]
        assert first["text"].startswith("Did it get in? Run ")
        assert first["queries"][0]["name"] == "AWS Role Successes After Failures"
        assert alerts[1]["analysis_type"] == "correlation_rule"
        assert alerts[1]["match_value"] == "arn:aws:iam::123456789012:user/mallory"
        assert alerts[1]["signals"] == {"Discovery": 3, "FailedAttempts": 13 - THRESHOLD}

    def test_replay_reads_standard_input(self, tmp_path):
        lines = simulated(tmp_path / "t.jsonl").read_bytes()
        status, out, _ = run("replay", "-", "--format", "json", stdin=lines)
        assert status == 0 and json.loads(out)["rule_id"] == ROLE_SEARCH

    def test_unreadable_input_gives_status_1_and_the_rest_is_read(self, trail):
        broken = trail / "broken.json"
        broken.write_text('{"Records": [7]}')
        status, out, err = run("replay", trail, trail / "missing", "--format", "json")
        assert status == 1 and is_the_attack(out)
        assert f"{broken}, record 1: record is not an object" in " ".join(err.split())
        assert "missing: no such file or folder" in " ".join(err.split())

    @pytest.mark.parametrize("arguments", [[], ["--format", "xml", "x"], ["--nonsense", "x"]])
    def test_unusable_arguments_give_status_2(self, arguments):
        status, out, err = run("replay", *arguments)
        assert status == 2 and out == "" and err

    def test_an_item_that_does_not_load_is_left_out_unless_strict(self, trail, content_copy):
        rule = content_copy / "rules" / "aws_cloudtrail_rules" / "aws_iam_list_roles.py"
        rule.write_text("import no_such_module")
        status, out, _ = run("replay", trail, "--content", content_copy)
        assert status == 1 and "AWS.CloudTrail.MultipleFailedRoleAttempts" in out
        assert "aws_iam_list_roles.yml: Filename: import failed" in " ".join(out.split())
        status, out, err = run("replay", trail, "--content", content_copy, "--strict")
        assert status == 2 and out == ""
        assert "aws_iam_list_roles.yml: Filename: import failed" in err

    def test_a_folder_without_content_gives_status_2(self, trail, tmp_path):
        (tmp_path / "rules").mkdir()
        for arguments in ([], ["--content", tmp_path / "rules"]):
            status, _, err = run("replay", trail, *arguments, cwd=tmp_path)
            assert status == 2 and "holds no Panther content" in err

    def test_the_shipped_content_runs_in_a_folder_without_content(self, trail, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        status, out, _ = run("replay", trail, "--format", "json", cwd=elsewhere)
        assert status == 0 and is_the_attack(out)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_an_interrupted_replay_prints_what_was_done(self, tmp_path, workers):
        report = tmp_path / "report.html"
        lines = simulated(tmp_path / "t.jsonl").read_bytes()
        command = [COMMAND, "replay", "-", tmp_path, "--report", report, "--workers", workers]
        process = started(command, cwd=REPO, stdin=subprocess.PIPE)
        process.stdin.write(lines)
        process.stdin.flush()
        time.sleep(3)  # it waits for more
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 1 and b"Traceback" not in err
        assert b"interrupted: the rest was not read" in out
        assert report.read_text().endswith("</html>")
        assert {path.name for path in tmp_path.iterdir()} == {"t.jsonl", "report.html"}

    @pytest.mark.parametrize("begin", [b'{"eventName": "', b'{\n"eventName": "'])
    def test_a_line_of_a_gigabyte_is_skipped_in_bounded_memory(self, tmp_path, begin):
        piece = b"x" * 2**24
        with igzip.open(tmp_path / "a.json.gz", "wb", compresslevel=0) as file:
            file.write(begin)
            for _ in range(64):
                file.write(piece)
        simulated(tmp_path / "b.jsonl")
        process = started([COMMAND, "replay", tmp_path, "--format", "json"], cwd=REPO)
        err = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 1 and b"more than 256 MB" in err
        assert json.loads(process.stdout.read())["rule_id"] == ROLE_SEARCH
        assert usage.ru_maxrss < 1024 * 1024  # KB


class TestSimulate:
    def test_the_same_seed_gives_the_same_records(self):
        first, second, other = (run("simulate", "-", "--seed", seed)[1] for seed in (7, 7, 8))
        assert first == second != other

    def test_every_record_says_that_it_is_generated(self):
        records = [json.loads(line) for line in run("simulate", "-")[1].splitlines()]
        assert len(records) == 500 + 12 + 3
        assert all("generated-by/local-panther-simulate" in r["userAgent"] for r in records)

    def test_denials_are_written_as_aws_records_them(self):
        for api in ("assume-role", "update-trust-policy"):
            lines = run("simulate", "-", "--api", api, "--background", 0)[1].splitlines()
            failed = [r for r in map(json.loads, lines) if r.get("errorCode")]
            assert len(failed) == 12
            for record in failed:
                assert record["requestParameters"] is None and "resources" not in record
                assert record["errorMessage"].startswith("User: arn:aws:iam::")

    def test_an_existing_file_is_replaced_only_with_force(self, tmp_path):
        """It is easy to name a recorded trail by mistake."""
        path = tmp_path / "trail.jsonl"
        path.write_text("mine")
        status, _, err = run("simulate", path)
        assert status == 2 and "--force" in err and path.read_text() == "mine"
        assert run("simulate", path, "--force")[0] == 0 and "AssumeRole" in path.read_text()
        path.write_text("")  # as mktemp leaves it
        assert run("simulate", path)[0] == 0 and "AssumeRole" in path.read_text()

    def test_files_in_a_folder_are_kept(self, tmp_path):
        (tmp_path / "mine.json").write_text("mine")
        assert run("simulate", tmp_path)[0] == run("simulate", tmp_path)[0] == 0
        assert (tmp_path / "mine.json").read_text() == "mine"

    def test_unwritable_output_gives_status_2(self, tmp_path):
        (tmp_path / "file").write_text("")
        status, _, err = run("simulate", tmp_path / "file" / "trail.jsonl")
        assert status == 2 and "cannot be written" in err
