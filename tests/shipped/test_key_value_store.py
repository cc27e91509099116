"""The rules that keep state answer the same on DynamoDB, as moto emulates it, and in replays.

Other tests of this folder use the table of replays, which is a tenth of the cost.
"""

import random

import pytest
from panther_detection_helpers import caching

from local_panther.detection.store import key_value_store, ordinary_table
from local_panther.simulate.identities import PrincipalKind, identity
from local_panther.simulate.scenario import Scenario, attack
from tests.builders.events import START, denied, denied_update, event, role_arn
from tests.builders.rules import FAILED_ATTEMPTS, LIST_ROLES, ROLE_SEARCH, from_body, in_place
from tests.conftest import forget

NAMES = (LIST_ROLES, FAILED_ATTEMPTS, ROLE_SEARCH)


def flood(kind):
    """Return attempts on many roles, in two APIs and accounts, repeated and out of order."""
    who = identity(kind, "eve", "run-1")
    records = [
        make(target, who, START + 7 * i) | {"eventID": f"{make.__name__}{i}"}
        for i in range(60)
        for make, target in (
            (denied, role_arn(f"Role{i % 40}", f"12345678901{i % 2}")),
            (denied_update, f"Role{i % 40}"),
        )
    ]
    random.Random(1).shuffle(records)
    return records


def outcomes(rules, records, store):
    """Return what the rules answer about records, in order, and what is stored in the end."""
    forget()
    with store():
        results = [
            rule.run(event(record), {}, {}, batch_mode=True) for record in records for rule in rules
        ]
        items = caching.kv_table().scan()["Items"]
    assert all(result.fatal_error is None for result in results)
    answers = [
        (
            result.trigger_alert,
            result.alert_context_output,
            result.dedup_output,
            result.title_output,
        )
        for result in results
    ]
    return answers, {item["key"]: item["stringSet"] for item in items}


@pytest.mark.long
@pytest.mark.parametrize("kind", PrincipalKind)
@pytest.mark.parametrize("load", [in_place, from_body])
def test_answers_and_items_are_those_of_dynamodb(kind, load, tmp_path):
    rules = [load(name, *([tmp_path] if load is from_body else [])) for name in NAMES]
    attacker = Scenario(start=START, principal=kind)
    records = [*attack(attacker, random.Random(2)), *flood(kind)]
    answers, items = outcomes(rules, records, key_value_store)
    assert (answers, items) == outcomes(rules, records, ordinary_table)
    assert items and {alerted for alerted, *_ in answers} == {True, False}
