"""Alerts, events and comments over REST."""

from contextlib import closing

import pytest

from local_panther.instance.apis.rest.router import Router
from local_panther.instance.instance import Instance
from local_panther.times import parse_time
from tests.builders.replays import BLOCKLIST, CORRELATION

pytestmark = pytest.mark.process

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="session")
def alerts(lake):
    return lake.get("/alerts")["results"]


@pytest.fixture
def alert(lake):
    """An alert that is open and unassigned, and is reset after the test."""
    (found,) = lake.get("/alerts", detection_id=BLOCKLIST)["results"]
    yield found
    lake.rest("PATCH", f"/alerts/{found['id']}", {"status": "OPEN", "assignee": ""})


class TestLists:
    def test_an_alert_has_the_documented_fields(self, lake, alerts):
        for alert in alerts:
            assert set(alert) >= {"id", "type", "status", "createdAt", "eventCount", "context"}
            assert alert["type"] == alert["detection"]["type"]
            assert lake.get(f"/alerts/{alert['id']}") == alert
        assert {alert["status"] for alert in alerts} == {"OPEN"}

    def test_the_latest_alert_comes_first_by_default(self, lake, alerts):
        times = [parse_time(alert["createdAt"]) for alert in alerts]
        assert times == sorted(times, reverse=True)
        oldest_first = lake.get("/alerts", sort_dir="asc")["results"]
        assert oldest_first == list(reversed(alerts))

    @pytest.mark.parametrize("direction", ("asc", "desc"))
    def test_pages_have_every_alert_once(self, lake, direction):
        whole = lake.get("/alerts", sort_dir=direction)["results"]
        found, cursor = [], {}
        while True:
            page = lake.get("/alerts", sort_dir=direction, limit=1, **cursor)
            found += page["results"]
            if "next" not in page:
                break
            cursor = {"cursor": page["next"]}
        assert found == whole

    def test_each_filter_selects_only_matching_alerts(self, lake, alerts):
        def ids(**parameters):
            return [alert["id"] for alert in lake.get("/alerts", **parameters)["results"]]

        def those(keep):
            return [alert["id"] for alert in alerts if keep(alert)]

        severe = ["CRITICAL", "HIGH"]
        assert ids(severity=severe) == those(lambda a: a["severity"] in severe) != []
        assert ids(severity="CRITICAL,HIGH") == ids(severity=severe)
        assert ids(detection_id=CORRELATION) == those(lambda a: a["detection"]["id"] == CORRELATION)
        assert ids(sub_type="CORRELATION_RULE") == those(lambda a: a["type"] == "CORRELATION_RULE")
        middle = alerts[1]["createdAt"]
        assert ids(created_after=middle) == those(lambda a: a["createdAt"] >= middle)
        assert ids(created_before=middle) == those(lambda a: a["createdAt"] <= middle)
        assert ids(event_count_min=2) == those(lambda a: a["eventCount"] >= 2) != ids()
        assert ids(event_count_max=1) == those(lambda a: a["eventCount"] <= 1) != ids()
        title = alerts[0]["title"][3:20].upper()
        assert ids(name_contains=title) == those(lambda a: title in a["title"].upper())
        assert ids(name_contains="%") == those(lambda a: "%" in a["title"])
        assert ids(log_type="AWS.CloudTrail") != [] and ids(log_type="Okta.SystemLog") == []
        assert ids(status=["OPEN", "TRIAGED"]) == ids() and ids(status="CLOSED") == []
        assert ids(type="DETECTION_ERROR") == ids(type="SYSTEM_ERROR") == []

    @pytest.mark.parametrize(
        "wrong",
        (
            {"limit": 0},
            {"limit": 51},
            {"limit": "ten"},
            {"type": "NONE"},
            {"severity": "SEVERE"},
            {"created_after": "yesterday"},
            {"cursor": "nowhere"},
            {"sort_dir": "up"},
            {"sub_type": "RULE_ERROR"},
            {"colour": "red"},
        ),
    )
    def test_an_error_names_the_invalid_parameter(self, lake, wrong):
        ((name, _),) = wrong.items()
        status, answer = lake.rest("GET", "/alerts", **wrong)
        assert status == 400
        assert name.replace("_", "-") in answer["message"]


def test_errors_and_failures_are_json(tmp_path):
    with closing(Instance(tmp_path / "state")) as instance:
        router = Router(instance)
        wrong = router.answer("PATCH", "/alerts", {}, "{")
        assert (wrong.status, wrong.body) == (400, {"message": "the body is not JSON"})
    failed = router.answer("GET", "/alerts", {}, "")  # the database is closed
    assert failed.status == 500 and "closed" in failed.body["message"]


class TestEvents:
    def test_pages_have_every_event_of_an_alert_once(self, lake):
        (alert,) = lake.get("/alerts", detection_id=CORRELATION)["results"]
        path = f"/alerts/{alert['id']}/events"
        whole = lake.get(path, limit=50)["results"]
        first = lake.get(path, limit=4)
        rest = lake.get(path, limit=50, cursor=first["next"])
        assert first["results"] + rest["results"] == whole
        assert len(whole) == alert["eventCount"] and "next" not in rest

    def test_events_are_those_of_the_log_with_the_fields_that_panther_adds(self, lake, alert):
        (event,) = lake.get(f"/alerts/{alert['id']}/events")["results"]
        assert event["eventName"] == "AssumeRole"
        assert event["p_log_type"] == "AWS.CloudTrail" and event["p_any_aws_arns"]


class TestChanges:
    def test_a_changed_status_and_assignee_are_stored(self, lake, alert):
        (user,) = lake.get("/users")["results"]
        change = {"ids": [alert["id"]], "status": "TRIAGED", "assignee": user["id"]}
        assert lake.rest("PATCH", "/alerts", change) == (204, None)
        changed = lake.get(f"/alerts/{alert['id']}")
        assert changed["status"] == "TRIAGED"
        assert changed["assignee"] == changed["updatedBy"] == {"id": user["id"], "type": "user"}
        assert lake.get("/alerts", assignee=user["id"])["results"] == [changed]
        status, answer = lake.rest("PATCH", f"/alerts/{alert['id']}", {"assignee": ""})
        assert status == 200 and "assignee" not in answer and answer["status"] == "TRIAGED"

    def test_a_change_of_several_alerts_with_an_unknown_one_changes_none(self, lake, alert):
        change = {"ids": [alert["id"], NOBODY], "status": "CLOSED"}
        status, answer = lake.rest("PATCH", "/alerts", change)
        assert status == 404 and NOBODY in answer["message"]
        assert lake.get(f"/alerts/{alert['id']}") == alert

    @pytest.mark.parametrize(
        "wrong",
        (
            {"status": "DONE"},
            {"status": 1},
            {"assignee": NOBODY},
            {},
            {"ids": "x", "status": "OPEN"},
            {"ids": [], "status": "OPEN"},
            {"ids": [1], "status": "OPEN"},
        ),
    )
    def test_an_invalid_change_changes_nothing(self, lake, alert, wrong):
        status, answer = lake.rest("PATCH", "/alerts", {"ids": [alert["id"]], **wrong})
        assert status == 400 and answer["message"]
        assert lake.get(f"/alerts/{alert['id']}") == alert

    @pytest.mark.parametrize("path", (f"/alerts/{NOBODY}", f"/alerts/{NOBODY}/events"))
    def test_an_unknown_alert_is_not_found(self, lake, path):
        assert lake.rest("GET", path) == (404, {"message": f"{NOBODY}: no such alert"})


class TestComments:
    def test_comments_are_listed_in_the_order_of_creation(self, lake, alert):
        before = lake.get("/alert-comments", alert_id=alert["id"])["results"]
        for text in ("first <b>", "second ☂"):
            body = {"alertId": alert["id"], "body": text, "format": "PLAIN_TEXT"}
            status, comment = lake.rest("POST", "/alert-comments", body)
            assert status == 200 and comment["body"] == text
        found = lake.get("/alert-comments", alert_id=alert["id"])["results"]
        assert [comment["body"] for comment in found[len(before) :]] == ["first <b>", "second ☂"]
        assert lake.get(f"/alert-comments/{comment['id']}") == comment
        page = lake.get("/alert-comments", alert_id=alert["id"], limit=1)
        following = lake.get("/alert-comments", alert_id=alert["id"], cursor=page["next"])
        assert page["results"] + following["results"] == found

    def test_comments_can_be_changed(self, lake, alert):
        body = {"alertId": alert["id"], "body": "no", "format": "HTML"}
        _, comment = lake.rest("POST", "/alert-comments", body)
        path = f"/alert-comments/{comment['id']}"
        status, changed = lake.rest("POST", path, {**body, "body": "yes"})
        assert status == 200 and changed["body"] == "yes" and changed["id"] == comment["id"]

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        (
            ({"alertId": NOBODY}, 404),
            ({"body": ""}, 400),
            ({"body": None}, 400),
            ({"body": "x" * 100_001}, 400),
            ({"format": "MARKDOWN"}, 400),
        ),
    )
    def test_invalid_comments_are_refused(self, lake, alert, wrong, expected):
        body = {"alertId": alert["id"], "body": "text", "format": "HTML"} | wrong
        status, answer = lake.rest("POST", "/alert-comments", body)
        assert status == expected and answer["message"]
