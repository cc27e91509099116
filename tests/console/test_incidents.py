"""The incidents of an instance: their order, pages, statuses, and states of earlier versions."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_panther.alerts.incidents import SEVERITIES, incidents_of
from local_panther.alerts.model import Alert
from local_panther.console.asked import Asked
from local_panther.console.incidents import PAGE, Incidents
from local_panther.console.sessions import Session
from local_panther.instance.alerts import incident_model
from local_panther.instance.alerts.incident_model import (
    FoundIncident,
    found_incident,
    incident_from,
)
from local_panther.instance.alerts.incident_store import WORK, IncidentFilter
from local_panther.instance.alerts.model import STATUSES, FoundAlert
from local_panther.instance.alerts.store import FIRST, AlertStore
from local_panther.instance.instance import Instance
from local_panther.roles.log import RoleLog
from local_panther.serving.recorder import found_alert, id_of
from tests.builders.alerts import alert
from tests.builders.events import ALICE, START, user
from tests.scale import examples
from tests.serving.test_webhook import alert as stored_alert

pytestmark = pytest.mark.process

SESSION = Session("csrf", 0)


def asked(path="", **query):
    return Asked(SESSION, path, {name: [value] for name, value in query.items()})


def take(store: AlertStore, alerts: list[Alert]) -> list[FoundIncident]:
    """Store alerts and their incidents as a replay does."""
    found = incidents_of(alerts, RoleLog())
    incidents = [found_incident(one, [id_of(a) for a in one.alerts]) for one in found]
    ranks = {one.id: one.number for one in incidents}
    store.take([found_alert(a, []) for a in alerts], [], {}, None, incidents, ranks)
    return incidents


@pytest.fixture
def store(tmp_path):
    with closing(AlertStore(tmp_path)) as found:
        yield found


@pytest.fixture
def instance(tmp_path):
    with closing(Instance(tmp_path / "state")) as found:
        yield found


def some_alerts(random: Random, count: int) -> list[Alert]:
    return [
        alert(
            who=user(f"user-{random.randrange(count)}"),
            severity=random.choice(SEVERITIES),
            rule_id=random.choice(["Test.One", "Test.Two"]),
            first=START + random.randrange(10) * 86_400 + number,
        )
        for number in range(count)
    ]


@settings(max_examples=examples(10, 200))
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_incidents_are_listed_in_the_order_of_a_report(tmp_path_factory, seed, count):
    with closing(AlertStore(tmp_path_factory.mktemp("order"))) as store:
        incidents = take(store, some_alerts(Random(seed), count))
        rows = store.incidents.find(IncidentFilter(), 1000)
        assert [row.number for row in rows] == list(range(1, len(incidents) + 1))
        assert [row.sentence for row in rows] == [one.sentence for one in incidents]


@settings(max_examples=examples(5, 100))
@given(st.integers(0, 10**6))
def test_pages_repeat_and_omit_nothing_while_alerts_arrive(tmp_path_factory, seed):
    random = Random(seed)
    with closing(Instance(tmp_path_factory.mktemp("pages") / "state")) as instance:
        alerts = some_alerts(random, 3 * PAGE)
        before = {one.id for one in take(instance.alerts, alerts)}
        pages, mark, seen = Incidents(instance), "", []
        while True:
            values = pages.listed(asked(status="ANY", **({"after": mark} if mark else {}))).values
            seen += [row.id for row in values["rows"]]
            if not values["next"]:
                break
            mark = values["next"].rpartition("after=")[2].replace("%3D", "=")
            for new in some_alerts(random, 5):
                alone = replace(found_alert(new, []), id=f"{random.getrandbits(64):032x}")
                instance.alerts.take([alone], [], {})
        assert len(seen) == len(set(seen)) and before <= set(seen)


def test_an_incident_may_have_more_alerts_than_a_statement_has_parameters(store):
    """SQLite accepts 32,766 by default, and more in some builds."""
    for connection in (store._database._connection, store._database._reader):
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 50)
    alerts = [alert(who=ALICE, rule_id=f"Test.{n}", first=START + n) for n in range(60)]
    (incident,) = take(store, alerts)
    assert len(store.incidents.alert_ids(incident.id)) == len(alerts)
    assert [row.id for row in store.incidents.by_number(range(1, 100))] == [incident.id]


def test_the_previous_and_the_next_incident_are_those_of_the_list(instance):
    take(instance.alerts, some_alerts(Random(3), 40))
    pages = Incidents(instance)
    rows = instance.alerts.incidents.find(IncidentFilter(severities=("HIGH",)), 100)
    assert len(rows) > 3
    for previous, row, following in zip([None, *rows], rows, [*rows[1:], None], strict=False):
        values = pages.shown(asked(row.id, severity="HIGH")).values
        assert (values["previous"], values["next"]) == (previous, following)


def test_each_filter_selects_only_matching_incidents(store):
    take(
        store,
        [
            alert(who=ALICE, severity="HIGH", rule_id="Test.One", title="Out of hours"),
            alert(who=user("bob"), severity="LOW", rule_id="Test.Two", first=START + 86_400),
        ],
    )
    for wanted, users in (
        (IncidentFilter(severities=("HIGH",)), ["alice"]),
        (IncidentFilter(rule_id="Test.Two"), ["bob"]),
        (IncidentFilter(principal="BOB"), ["bob"]),
        (IncidentFilter(words=("hours", "OUT")), ["alice"]),
        (IncidentFilter(words=("hours", "test.two")), []),
        (IncidentFilter(since=START + 3600), ["bob"]),
        (IncidentFilter(until=START + 3600), ["alice"]),
        (IncidentFilter(statuses=("RESOLVED",)), []),
        (IncidentFilter(statuses=WORK), ["alice", "bob"]),
    ):
        found = store.incidents.find(wanted, 10)
        assert [row.who.partition(" ")[0] for row in found] == users, wanted
        assert sum(store.incidents.counts(wanted).values()) == len(users)


def test_an_incident_has_the_status_of_its_least_finished_alert(store):
    one, two = alert(first=START), alert(first=START + 60, rule_id="Test.Two")
    (incident,) = take(store, [one, two])

    def status():
        return store.incidents.get(incident.id)[0].status

    for first in STATUSES:
        for second in STATUSES:
            store.update([id_of(one)], status=first)
            store.update([id_of(two)], status=second)
            assert status() == min(first, second, key=STATUSES.index)
    store.update([id_of(one), id_of(two)], status="RESOLVED")
    take(store, [one, two])
    assert status() == "RESOLVED"  # another replay keeps it
    take(store, [one, two, alert(first=START + 120, rule_id="Test.Three")])
    assert status() == "OPEN"


@settings(max_examples=examples(20, 200))
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_a_stored_incident_is_read_back_unchanged(seed, count):
    for incident in incidents_of(some_alerts(Random(seed), count), RoleLog()):
        kept = found_incident(incident, [id_of(a) for a in incident.alerts])
        again = incident_from(FoundIncident.from_json(kept.as_json()).found, {})
        assert again == incident and again.sentence == incident.sentence
        assert again.caller == incident.caller and again.containment == incident.containment


def test_an_incident_with_a_flood_of_alerts_has_a_bounded_size(instance, monkeypatch):
    monkeypatch.setattr(incident_model, "MAX_ALERTS", 50)
    monkeypatch.setattr(incident_model, "MAX_EVENT_BYTES", 2_000)
    (incident,) = take(instance.alerts, [alert(first=START + 60 * n) for n in range(80)])
    alerts = incident.found["alerts"]
    assert len(alerts) == 50 and alerts[0]["events"] and not alerts[-1]["events"]
    values = Incidents(instance).shown(asked(incident.id)).values
    assert values["row"].alerts == 80 and "79 more alerts" in values["sentence"]


@pytest.mark.parametrize(
    "broken",
    (
        {"alert_ids": []},
        {"alert_ids": [1]},
        {"severity": None},
        {"sentence": ["x"]},
        {"number": "1"},
        {"tried": True},
        {"found": {}},
        {"found": None},
        {"unknown": 1},
    ),
)
def test_incidents_that_content_code_has_forged_are_refused(broken):
    (incident,) = incidents_of([alert()], RoleLog())
    kept = found_incident(incident, [id_of(incident.alerts[0])]).as_json()
    with pytest.raises((LookupError, TypeError, ValueError)):
        FoundIncident.from_json({**kept, **broken})


def test_an_alert_without_an_incident_is_listed_as_one(store):
    store.take([stored_alert(1), stored_alert(2, severity="LOW", title="Small")], [], {})
    rows = store.incidents.find(IncidentFilter(), 10)
    assert [(row.severity, row.headline) for row in rows] == [("HIGH", "a title"), ("LOW", "Small")]


def test_incidents_that_later_alerts_join_become_one(store):
    one, two = alert(first=START), alert(first=START + 7 * 86_400)
    assert len(take(store, [one, two])) == 2
    between = [alert(first=START + n * 3600, title=str(n)) for n in range(1, 168)]
    take(store, [one, two, *between])
    (row,) = store.incidents.find(IncidentFilter(), 10)
    assert row.alerts == 169


def test_a_state_of_the_previous_version_is_upgraded(tmp_path):
    with closing(sqlite3.connect(tmp_path / "alerts.sqlite")) as database:
        database.executescript(f"{FIRST} PRAGMA user_version = 1;")
        plain = FoundAlert.from_json(stored_alert(1).as_json())
        names = ", ".join(plain.as_json())
        values = [v if isinstance(v, (str, int, float)) else "[]" for v in plain.as_json().values()]
        marks = ", ".join("?" * len(values))
        database.execute(
            f"INSERT INTO alerts ({names}, status) VALUES ({marks}, 'TRIAGED')", values
        )
        database.commit()
    with closing(AlertStore(tmp_path)) as store:
        (row,) = store.incidents.find(IncidentFilter(), 10)
        assert (row.headline, row.status) == ("a title", "TRIAGED")
        assert store.get(plain.id).status == "TRIAGED"


def test_the_page_of_an_alert_of_an_earlier_version_shows_what_was_stored(instance):
    instance.alerts.take([stored_alert(1)], [(stored_alert(1).id, '{"eventID": "x"}')], {})
    values = Incidents(instance).shown(asked(stored_alert(1).id)).values
    assert values["incident"].sentence.startswith("a title")
    assert values["incident"].runbooks[0].steps[0].text == "look"
