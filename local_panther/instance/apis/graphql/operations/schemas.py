"""The operations on schemas: Panther's own by name only, and custom ones in full."""

import time
from typing import Any

import yaml
from graphql import GraphQLError

from local_panther.content.custom_schemas import check_schema
from local_panther.content.log_types import managed_log_types
from local_panther.errors import FieldError, one_line
from local_panther.instance.alerts.store import AlertStore
from local_panther.instance.check.safe_yaml import load_yaml
from local_panther.times import iso

PREFIX = "schema:"  # of the names of facts
MANAGED: dict[str, Any] = {  # their fields are not public
    "isManaged": True,
    "isArchived": False,
    "isFieldDiscoveryEnabled": False,
    "revision": 1,
    "version": 0,
    "spec": "",
}


class SchemaOperations:
    """The resolvers of schemas."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    def schemas(self, *_: Any, input: dict[str, Any] | None = None) -> dict[str, Any]:
        """List schemas."""
        asked = input or {}
        managed = [MANAGED | {"name": name} for name in sorted(managed_log_types())]
        nodes = [*managed, *self._store.facts(PREFIX)]
        if asked.get("isManaged") is not None:
            nodes = [node for node in nodes if node["isManaged"] == asked["isManaged"]]
        contains = (asked.get("contains") or "").lower()
        shown = [n for n in nodes if contains in n["name"].lower() and not asked.get("isArchived")]
        return {"edges": [{"node": node} for node in shown]}

    def createOrUpdateSchema(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Store a custom schema, if it is valid and based on the stored revision."""
        name = input["name"]
        try:
            check_schema(name, load_yaml(input["spec"]))
        except (FieldError, yaml.YAMLError) as error:
            raise GraphQLError(f"{name}: {one_line(error)}") from error
        stored = self._store.fact(PREFIX + name)
        revision = stored["revision"] if stored else 0
        if input["revision"] != revision:
            raise GraphQLError(f"{name}: is stored with revision {revision}, which must be sent")
        now = iso(int(time.time()))
        schema = {
            "name": name,
            "spec": input["spec"],
            "description": input.get("description") or "",
            "referenceURL": input.get("referenceURL") or "",
            "isManaged": False,
            "isArchived": False,
            "isFieldDiscoveryEnabled": bool(input.get("isFieldDiscoveryEnabled")),
            "revision": revision + 1,
            "version": 0,
            "createdAt": stored["createdAt"] if stored else now,
            "updatedAt": now,
        }
        self._store.set_fact(PREFIX + name, schema)
        return {"schema": schema}

    def generateEnrichedEvent(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Return the event unchanged; there is no enrichment here."""
        return {"enrichedEvent": input["event"]}
