"""REST answers against Panther's published OpenAPI description.

The description is Panther's and not part of this repository. It is read from the file that
PANTHER_OPENAPI names, or from build/panther-openapi.yaml; both may be the file
docs/panther_open_api_v3_spec.yaml of https://github.com/panther-labs/mcp-panther.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.builders.events import REPO
from tests.serving.test_rest_items import PATHS, stored  # noqa: F401 - a fixture

pytestmark = pytest.mark.process

FILE = Path(os.environ.get("PANTHER_OPENAPI", REPO / "build" / "panther-openapi.yaml"))
# The description has the schemas of an actor's ID and type swapped: the ID allows only the names of
# kinds, while its prose has IDs of users, which clients send and get.
ACTOR = {"id", "type"}
# The description omits this field for some kinds; mcp-panther reads it for all kinds.
UNDESCRIBED = {"managed": {"type": "boolean"}}


@pytest.fixture(scope="module")
def description() -> dict:
    if not FILE.exists():
        pytest.skip(f"no OpenAPI description in {FILE}; PANTHER_OPENAPI can name another file")
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for node in nodes(found["components"]["schemas"]):
        fields = node.get("properties")
        if not isinstance(fields, dict):
            continue
        if fields.keys() == ACTOR and "enum" in fields["id"]:
            fields["id"], fields["type"] = fields["type"], fields["id"]
        node["properties"] = UNDESCRIBED | fields
        node.setdefault("additionalProperties", False)  # an undescribed field is a mistake
    return found


def nodes(value: object) -> Iterator[dict]:
    """Yield every mapping in a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else ():
        yield from nodes(inner)


def check(description: dict, method: str, path: str, status: int, answer: object) -> None:
    """Assert that an answer is valid by the description of its path and status."""
    answers = description["paths"][path][method.lower()]["responses"]
    assert str(status) in answers, (method, path, status, answer)
    content = answers[str(status)].get("content")
    if content is None:
        assert answer is None or status == 200, (method, path)  # some have no description
        return
    schema = content["application/json"]["schema"] | {"components": description["components"]}
    errors = [
        f"{method} {path}: {error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(answer)
    ]
    assert errors == []


LISTS = (*PATHS, "users", "roles", "api-tokens", "alerts")


@pytest.mark.parametrize("path", LISTS)
def test_a_list_each_of_its_items_and_a_missing_one_are_as_described(stored, description, path):  # noqa: F811
    found = stored.get(f"/{path}")
    check(description, "GET", f"/{path}", 200, found)
    assert found["results"]
    for item in found["results"]:
        answer = stored.rest("GET", f"/{path}/{item['id']}")
        check(description, "GET", f"/{path}/{{id}}", *answer)
    missing = stored.rest("GET", f"/{path}/no-such-id")
    check(description, "GET", f"/{path}/{{id}}", *missing)


def test_changes_of_an_alert_are_answered_as_described(lake, description):
    (alert, *_) = lake.get("/alerts")["results"]
    (user,) = lake.get("/users")["results"]
    one = f"/alerts/{alert['id']}"
    check(description, "GET", "/alerts/{id}/events", *lake.rest("GET", f"{one}/events"))
    change = {"status": "TRIAGED", "assignee": user["id"]}
    check(description, "PATCH", "/alerts/{id}", *lake.rest("PATCH", one, change))
    check(description, "GET", "/alerts/{id}", *lake.rest("GET", one))
    many = {"ids": [alert["id"]], "status": "OPEN", "assignee": ""}
    check(description, "PATCH", "/alerts", *lake.rest("PATCH", "/alerts", many))
    check(description, "PATCH", "/alerts", *lake.rest("PATCH", "/alerts", {"ids": []}))
    said = {"alertId": alert["id"], "body": "seen", "format": "PLAIN_TEXT"}
    status, comment = lake.rest("POST", "/alert-comments", said)
    check(description, "POST", "/alert-comments", status, comment)
    path = f"/alert-comments/{comment['id']}"
    check(description, "GET", "/alert-comments/{id}", *lake.rest("GET", path))
    check(description, "POST", "/alert-comments/{id}", *lake.rest("POST", path, said))
    comments = lake.rest("GET", "/alert-comments", alert_id=alert["id"])
    check(description, "GET", "/alert-comments", *comments)
    check(description, "POST", "/alert-comments", *lake.rest("POST", "/alert-comments", {}))


def test_a_global_is_created_replaced_and_deleted_as_described(stored, description):  # noqa: F811
    item = {"id": "described_helpers", "body": "ONE = 1\n", "description": "for a test"}
    check(description, "POST", "/globals", *stored.rest("POST", "/globals", item))
    path = "/globals/described_helpers"
    check(description, "PUT", "/globals/{id}", *stored.rest("PUT", path, item))
    check(description, "DELETE", "/globals/{id}", *stored.rest("DELETE", path))
    made = stored.rest("PUT", path, item)
    check(description, "PUT", "/globals/{id}", *made)
    check(description, "DELETE", "/globals/{id}", *stored.rest("DELETE", path))
