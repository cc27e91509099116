"""The overview of incidents, and the output without incidents."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from local_panther.alerts.model import RULE_ERROR
from local_panther.content.model import Content
from local_panther.errors import RunErrors
from local_panther.output.incidents import MAX_CARDS, MAX_LINES, print_incidents
from local_panther.output.terminal import print_summary
from local_panther.records.model import Tally
from local_panther.replay import Outcome
from local_panther.roles.log import RoleLog
from local_panther.roles.settings import shipped_settings
from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.alerts import alert, log_of
from tests.builders.events import START, call, denied, role_arn, user
from tests.builders.months import month
from tests.builders.replays import replayed

SCREEN = 50  # lines


def outcome_of(*alerts, log=None):
    content = Content()
    made = Outcome(Tally(), list(alerts), {}, RunErrors(), content)
    made.role_log = log or log_of()
    return made


def printed(outcome, width=80, **options):
    out = io.StringIO()
    print_incidents(outcome, Console(file=out, width=width), **options)
    return out.getvalue().splitlines()


def users(count, **fields):
    return [alert(who=user(f"user{i:03}"), first=START + i, **fields) for i in range(count)]


def test_incidents_are_listed_worst_first_with_counts_of_the_rest():
    critical = alert(severity="CRITICAL", title="Worst", first=START + 5 * 86_400)
    lines = printed(outcome_of(*users(40), *users(3, severity="LOW", rule_id="Low"), critical))
    assert lines[0] == "41 incidents (1 CRITICAL, 40 HIGH) of 44 alerts"
    assert lines[2].startswith("CRITICAL") and "Worst" in lines[2] and "alice" in lines[2]
    assert [line[:4] for line in lines[3 : 2 + MAX_LINES]] == ["HIGH"] * (MAX_LINES - 1)
    assert lines[2 + MAX_LINES] == "… and 26 more: 26 HIGH (--details shows all)"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_line_of_the_overview_has_times_and_address_and_fits(width):
    lines = printed(outcome_of(*users(MAX_CARDS + 1)), width)
    assert all(len(line) <= width for line in lines)
    assert all("203.0.113.10" in line and "01-05 10:00" in line for line in lines[2:-1])


@pytest.mark.parametrize("width", [80, 100, 140])
def test_principals_with_one_name_are_distinguished_in_the_overview(width):
    admin = user("admin")
    other = admin | {"arn": "arn:aws:iam::210987654321:user/admin", "accountId": "210987654321"}
    callers = [admin, other, identity(PrincipalKind.ROLE, "admin", "x")]
    admins = [alert(who=who, first=START + i) for i, who in enumerate(callers)]
    settings = replace(shipped_settings(), collapse_sessions=True, person_role_prefixes=())
    lines = printed(outcome_of(*admins, *users(MAX_CARDS), log=RoleLog(settings)), width)
    assert all(len(line) <= width for line in lines)
    begin, end = lines[1].index("Who"), lines[1].index("First, last")
    shown = "".join(line[begin:end] for line in lines[2:]).replace(" ", "")
    for name in ("(IAMuser,123456789012)", "(IAMuser,210987654321)", "(role,123456789012)"):
        assert f"admin{name}" in shown


def test_cards_are_printed_for_few_incidents_or_with_details():
    few, many = outcome_of(*users(MAX_CARDS)), outcome_of(*users(MAX_CARDS + 1))
    assert printed(few).count("Evidence") == MAX_CARDS
    assert printed(many).count("Evidence") == 0
    assert printed(many, details=True).count("Evidence") == MAX_CARDS + 1


def test_an_alert_about_a_failing_rule_says_that_it_did_not_check():
    raised = alert(kind=RULE_ERROR, title="Rule raised KeyError", event_count=3, runbook="")
    assert "NOT CHECKED: Rule raised KeyError on 3 events" in printed(outcome_of(raised))


def test_a_command_is_on_one_line_to_be_copied():
    from tests.builders.events import ALICE

    texts = {"Calls": "WITH parameters AS (SELECT 'x' AS principal) SELECT 1"}
    found = alert(runbook='1. Run "Calls" for principal.\n2. Stop it.')
    made = outcome_of(found)
    made.content.query_texts = texts
    made.paths, made.folder = ("a folder",), Path("/content")
    command = (
        f"local-panther query Calls 'a folder' --content /content --set=principal={ALICE['arn']}"
    )
    assert [line.strip() for line in printed(made, 40) if "local-panther" in line] == [command]


def test_without_an_alert_the_nearest_principals_are_listed():
    bob = user("bob")
    parameters = {"requestParameters": {"roleArn": role_arn("R1")}}
    records = [denied(role_arn(f"R{i}"), bob, START + i, eventID=f"{i}") for i in range(3)]
    records += [call("AssumeRole", bob, START + 60, **parameters), denied(role_arn("R1"))]
    records += [call("AssumeRole", user("fine"), **parameters)]
    lines = printed(outcome_of(log=log_of(*records)), 140)
    assert lines[0] == "No alert in 0 records."
    settings = shipped_settings()
    assert f"failures on {settings.threshold} roles in {settings.window_minutes} min" in lines[1]
    assert lines[3].split()[:5] == ["3", "3", "3", "1", "bob"] and "203.0.113.10" in lines[3]
    assert lines[4].split()[:5] == ["1", "1", "1", "0", "alice"]
    assert not any("fine" in line for line in lines)
    assert "No principal failed on any role." in printed(outcome_of())


@pytest.fixture(scope="module")
def busy_month(tmp_path_factory):
    folder = month(tmp_path_factory.mktemp("month"), pipelines=18)
    return replayed(folder)


@pytest.mark.long
def test_the_two_criticals_of_a_month_with_500_alerts_come_first_on_one_screen(busy_month):
    assert len(busy_month.alerts) >= 500
    out = io.StringIO()
    console = Console(file=out, width=80)
    print_incidents(busy_month, console)
    print_summary(busy_month, console)
    lines = out.getvalue().splitlines()
    assert len(lines) <= SCREEN
    assert [line[:8].strip() for line in lines[2:5]] == ["CRITICAL", "CRITICAL", "HIGH"]
    assert "ENTERED 2 of 16" in lines[2] and "CHANGED the tru" in lines[3]
