"""Commands handle floods of records, principals and large records in bounded memory."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.builders.content import write_lines
from tests.builders.events import REPO, START, assumed, call, denied, role_arn
from tests.builders.replays import MEASURED, SUCCEEDED
from tests.scale import FULL

pytestmark = [pytest.mark.attack("records"), pytest.mark.process]

SUCCESSES = 1_200_000 if FULL else 10_000
PRINCIPALS = 1_000_000 if FULL else 5_000
ALERTS = 100_000 if FULL else 1_000
DAYS = 365 if FULL else 20
SEARCHED_ROLES = 40_000 if FULL else 2_000
LARGE_ATTEMPTS = 3000 if FULL else 100
LARGE_BYTES = 200_000
MEMORY_MB = 1024
ROLES = 12


def replayed(trail, *options):
    """Run the command; return its alerts, its messages and the memory in MB."""
    command = [sys.executable, "-m", "local_panther", "replay", str(trail), *map(str, options)]
    measured = [sys.executable, "-c", MEASURED, *command, "--format", "json"]
    done = subprocess.run(measured, cwd=REPO, stdout=subprocess.PIPE)
    *lines, memory = done.stdout.decode().splitlines()
    messages = "\n".join(line for line in lines if not line.startswith("{"))
    assert done.returncode == 0, messages
    alerts = [json.loads(line) for line in lines if line.startswith("{")]
    return alerts, messages, int(memory) // 1024


def user(name):
    return {
        "type": "IAMUser",
        "arn": f"arn:aws:iam::123456789012:user/{name}",
        "accountId": "123456789012",
        "userName": name,
    }


def succeeded(role, who, time, **fields):
    keys = {"credentials": {"accessKeyId": "ASIAEXAMPLE"}}
    return assumed(role, who, time, responseElements=keys, **fields)


def search_that_gets_in(time, who=None, names="Searched", **fields):
    """Return records of a user who lists roles, fails on many and gets into the last of them."""
    mallory = who or user("mallory")
    records = [call("ListRoles", mallory, time, eventID="list", **fields)]
    for number in range(ROLES):
        at, target = time + 1 + number, role_arn(f"{names}{number}")
        records.append(denied(target, mallory, at, eventID=f"denied-{number}", **fields))
    gained = succeeded(target, mallory, time + 60, eventID="gained")
    return [*records, gained]


def test_a_flood_of_successes_takes_bounded_memory(tmp_path):
    def records():
        yield from search_that_gets_in(START)
        for number in range(SUCCESSES):
            who, role = user(f"user-{number % 1000}"), role_arn(f"Ordinary{number % 300}")
            time = START + 120 + number * 86_400 // SUCCESSES
            yield succeeded(role, who, time, eventID=f"event-{number}")

    report = tmp_path / "report.html"
    trail = write_lines(tmp_path / "t.jsonl", records())
    alerts, messages, memory = replayed(trail, "--report", report)
    assert SUCCEEDED in [alert["rule_id"] for alert in alerts], messages
    assert "Searched11" in report.read_text()
    assert memory < MEMORY_MB, messages


def test_large_attempts_use_the_disk_and_the_critical_query_runs(tmp_path):
    def records():
        large = {"requestParameters": {"filler": "x" * LARGE_BYTES}}
        for number in range(LARGE_ATTEMPTS):
            target, who = role_arn(f"Role{number % 200}"), user(f"user-{number % 20}")
            yield denied(target, who, START + number, eventID=f"event-{number}", **large)
        yield from search_that_gets_in(START + LARGE_ATTEMPTS, **large)

    alerts, messages, memory = replayed(write_lines(tmp_path / "t.jsonl", records()))
    found = [alert for alert in alerts if alert["rule_id"] == SUCCEEDED]
    assert "Searched11" in str(found), messages
    assert memory < MEMORY_MB, messages


def test_a_search_of_any_number_of_roles_that_gets_in_is_found(tmp_path):
    """An attacker can cause any number of failures, since a role need not exist to be tried."""

    def records():
        yield from search_that_gets_in(START)
        mallory = user("mallory")
        for number in range(SEARCHED_ROLES):
            time = START + 61 + number * 3000 // SEARCHED_ROLES
            yield denied(role_arn(f"Invented{number}"), mallory, time, eventID=f"event-{number}")

    alerts, messages, memory = replayed(write_lines(tmp_path / "t.jsonl", records()))
    severities = [alert["severity"] for alert in alerts]
    assert sorted(severities) == ["CRITICAL", "HIGH"], messages
    assert all(alert["verdict"].startswith("ENTERED 1 of ") for alert in alerts)
    assert memory < MEMORY_MB, messages


def test_a_hundred_thousand_alerts_are_all_made(tmp_path):
    def records():
        for number in range(ALERTS):
            who, time = user(f"user-{number}"), START + number * 300
            yield succeeded(role_arn("FullAdminRole"), who, time, eventID=f"event-{number}")

    trail = write_lines(tmp_path / "t.jsonl", records())
    alerts, messages, memory = replayed(trail, "--include-disabled")
    assert len({alert["event_ids"][0] for alert in alerts}) == len(alerts) == ALERTS, messages
    assert memory < MEMORY_MB, messages


def test_a_year_of_bursts_has_an_alert_for_each_day(tmp_path):
    def records():
        for day in range(DAYS):
            for number in range(10):
                time = START + day * 86_400 + number * 3600
                who, names = user(f"user-{number}"), f"Day{day}-"  # new roles, so no habits
                for record in search_that_gets_in(time, who, names):
                    yield record | {"eventID": f"{day}-{number}-{record['eventID']}"}

    alerts, messages, memory = replayed(write_lines(tmp_path / "t.jsonl", records()))
    severities = Counter(alert["severity"] for alert in alerts)
    assert severities == {"CRITICAL": 10 * DAYS, "HIGH": 10 * DAYS}, messages
    assert memory < MEMORY_MB, messages


def test_a_flood_of_principals_hides_no_burst(tmp_path):
    def records():
        for number in range(PRINCIPALS):
            who, time = user(f"user-{number}"), START + number * 3600 // PRINCIPALS
            yield denied(role_arn(f"Role{number % 50}"), who, time, eventID=f"event-{number}")
            if number == PRINCIPALS // 2:
                yield from search_that_gets_in(time)

    alerts, messages, memory = replayed(write_lines(tmp_path / "t.jsonl", records()))
    severities = [alert["severity"] for alert in alerts]
    assert sorted(severities) == ["CRITICAL", "HIGH"], messages
    assert memory < MEMORY_MB, messages
