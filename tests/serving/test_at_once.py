"""Clients read pages and change alerts while others change them and new alerts arrive."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle, islice
from random import Random

import pytest

from local_panther.instance.apis.rest.router import Router
from local_panther.instance.instance import Instance
from local_panther.times import event_time
from tests.builders.events import START
from tests.scale import examples
from tests.serving.test_webhook import alert

pytestmark = pytest.mark.attack("serve")
STATUSES = ("TRIAGED", "RESOLVED", "CLOSED", "OPEN")


@pytest.fixture
def instance(tmp_path):
    with closing(Instance(tmp_path / "state")) as found:
        yield found


def asked(router: Router, method: str, path: str, text: str = "", **query: str):
    reply = router.answer(method, path, {name: [value] for name, value in query.items()}, text)
    assert reply.status < 300, reply.body
    return reply.body


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_repeat_and_omit_nothing_while_alerts_arrive(instance, direction, record_property):
    """New alerts come before, between and after those shown, also in the same second."""
    random, router = Random(29), Router(instance)
    record_property("tried", rounds := examples(3, 100))
    for turn in range(rounds):
        base = turn * 10_000
        there = [base + 10 * n for n in range(60)]
        instance.alerts.take(map(alert, there), [], {})
        shown, cursor, more = [], {}, iter(random.sample(range(base, base + 700), 200))
        since = event_time(START + base)
        while True:
            page = asked(
                router,
                "GET",
                "/alerts",
                limit=str(random.randint(1, 9)),
                **{"sort-dir": direction, "created-after": since},
                **cursor,
            )
            shown += [found["id"] for found in page["results"]]
            if "next" not in page:
                break
            cursor = {"cursor": page["next"]}
            # For known alerts, the counts grow, and the positions stay.
            added = [alert(number) for number in islice(more, 3)]
            added += [alert(random.choice(there), event_count=9, last=1_767_700_000.0)]
            added += [alert(base + 9_999 + len(shown), created=alert(random.choice(there)).created)]
            instance.alerts.take(added, [], {})
        assert len(shown) == len(set(shown))
        assert {alert(number).id for number in there} <= set(shown)


def in_threads(*tasks) -> None:
    """Run tasks in parallel; raise an exception of any of them."""
    with ThreadPoolExecutor(len(tasks)) as threads:
        for done in [threads.submit(task) for task in tasks]:
            done.result()


def test_changes_of_one_alert_by_two_clients_are_both_kept(instance):
    """One client sets the status and the other the assignee; neither undoes the other change."""
    router, changes = Router(instance), examples(40, 2_000)
    instance.alerts.take([alert(0)], [], {})
    user = asked(router, "GET", "/users")["results"][0]["id"]
    path = f"/alerts/{alert(0).id}"

    def changed(field: str, values: tuple[str, ...]) -> None:
        for value in islice(cycle(values), changes):
            asked(router, "PATCH", path, json.dumps({field: value}))
            shown = asked(router, "GET", path)
            held = {"status": shown["status"], "assignee": shown.get("assignee", {}).get("id", "")}
            assert held[field] == value

    in_threads(lambda: changed("status", STATUSES), lambda: changed("assignee", (user, "")))


def test_if_two_clients_change_several_alerts_the_later_one_wins_in_all(instance):
    router, changes = Router(instance), examples(40, 2_000)
    ids = [alert(number).id for number in range(5)]
    instance.alerts.take(map(alert, range(5)), [], {})

    def change(statuses: tuple[str, ...]) -> None:
        for status in islice(cycle(statuses), changes):
            asked(router, "PATCH", "/alerts", json.dumps({"ids": ids, "status": status}))

    def look() -> None:
        for _ in range(changes):
            found = asked(router, "GET", "/alerts")["results"]
            assert len(found) == 5 and len({entry["status"] for entry in found}) == 1

    in_threads(lambda: change(STATUSES[:2]), lambda: change(STATUSES[2:]), look)


def test_comments_and_changes_continue_while_a_replay_is_stored(instance):
    router, rounds = Router(instance), examples(20, 500)
    instance.alerts.take([alert(0)], [], {})

    def take() -> None:
        for count in range(rounds):
            instance.alerts.take([alert(0, event_count=count + 1), alert(count + 1)], [], {})

    def comment() -> None:
        for number in range(rounds):
            body = {"alertId": alert(0).id, "body": str(number), "format": "PLAIN_TEXT"}
            asked(router, "POST", "/alert-comments", json.dumps(body))

    def change() -> None:
        for _ in range(rounds):
            asked(router, "PATCH", f"/alerts/{alert(0).id}", '{"status": "RESOLVED"}')
            assert asked(router, "GET", f"/alerts/{alert(0).id}")["status"] == "RESOLVED"

    in_threads(take, comment, change)
    found = instance.alerts.comments(alert(0).id, 0, rounds + 1)
    assert [comment.body for comment in found] == [str(number) for number in range(rounds)]
    assert instance.alerts.get(alert(0).id).found.event_count == rounds
