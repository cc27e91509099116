"""Detections, helpers, data models and queries over REST. A change uploads one item."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import yaml

from local_panther.alerts.incidents import SEVERITIES
from local_panther.instance.apis import UNSUPPORTED
from local_panther.instance.apis.identity import USER, USER_ACTOR
from local_panther.instance.apis.rest.forms import FORMS, QUERY, Form
from local_panther.instance.apis.rest.requests import (
    BAD,
    CONFLICT,
    NOT_FOUND,
    Page,
    Parameters,
    Reply,
    RequestError,
    RestRequest,
)
from local_panther.instance.check.check import file_name
from local_panther.instance.store.library import Library

PAGE, LARGEST_PAGE = 100, 1000
STATES = ("enabled", "disabled")
COMPLIANCE = ("PASS", "FAIL", "ERROR")


class ItemRoutes:
    """The handlers of the paths of one kind of items."""

    def __init__(self, library: Library, form: Form) -> None:
        self._library = library
        self._form = form
        names = [field.name for field in form.fields]
        self._filters = {
            name: names_of
            for name, names_of in {
                "severity": "severity",
                "tag": "tags",
                "log-type": "logTypes",
                "resource-type": "resourceTypes",
                "scheduled-query": "scheduledQueries",
            }.items()
            if names_of in names
        }

    def find(self, request: RestRequest) -> Reply:
        """List the items."""
        parameters = request.parameters
        page = Page.of(parameters, PAGE, LARGEST_PAGE)
        with_python = self._form.is_simple and parameters.flag("include-python", default=False)
        chosen = {
            field: parameters.many(name, SEVERITIES if name == "severity" else ())
            for name, field in self._filters.items()
        }
        contains = parameters.text("name-contains").lower()
        state = parameters.choice("state", STATES) if "severity" in self._filters else ""
        people = (parameters.text("created-by"), parameters.text("last-modified-by"))
        self._refuse_compliance(parameters)
        parameters.end()
        shown = {}
        if all(person in ("", USER["id"], USER["email"]) for person in people):
            for item in self._items(with_python=with_python):
                if _is_wanted(item, chosen, contains, state):
                    shown[item["id"]] = item
        return page.reply_by(shown, dict)

    def get(self, request: RestRequest) -> Reply:
        """Return an item."""
        with_python = request.parameters.flag("include-python", default=False)
        request.parameters.end()
        return Reply(self._shown(self._stored(request.id), with_python=with_python))

    def create(self, request: RestRequest) -> Reply:
        """Store a new item."""
        item_id = self._named(request)
        if item_id in self._library.items:
            raise RequestError(CONFLICT, f"{item_id}: exists already")
        self._store(request, {})
        return Reply(self._shown(item_id))

    def replace(self, request: RestRequest) -> Reply:
        """Create or replace an item."""
        named = self._named(request, default=request.id)
        if self._form.id_of(named) != request.id and self._form.fields is not QUERY:
            raise RequestError(BAD, f"id: {named!r} differs from the ID in the path")
        is_known = named in self._library.items
        self._store(request, self._library.spec(named) if is_known else {})
        reply = self._shown(named)
        status = 200 if is_known else 201
        return Reply({"data": reply} if self._form.path == "globals" else reply, status)

    def change_query(self, request: RestRequest) -> Reply:
        """Replace a query."""
        item_id = self._stored(request.id)
        if self._named(request) != item_id:
            raise RequestError(BAD, f"name: {UNSUPPORTED}: a query keeps its name, {item_id!r}")
        self._store(request, self._library.spec(item_id))
        return Reply(self._shown(item_id))

    def delete(self, request: RestRequest) -> Reply:
        """Delete an item."""
        request.parameters.end()
        item_id = self._stored(request.id)
        self._library.delete([item_id], queries=self._form.fields is QUERY, dry_run=False)
        return Reply(status=204)

    def _items(self, *, with_python: bool) -> list[dict[str, Any]]:
        """Return what there is, in order of its IDs."""
        found = []
        for item_id, item in list(self._library.items.items()):
            if item.kind in self._form.kinds and self._form.takes(self._library.spec(item_id)):
                found.append(self._shown(item_id, with_python=with_python))
        return found

    def _stored(self, api_id: str) -> str:
        """Return the ID of a stored item by its ID in the API."""
        for item_id, item in list(self._library.items.items()):
            is_of_kind = item.kind in self._form.kinds and self._form.id_of(item_id) == api_id
            if is_of_kind and self._form.takes(self._library.spec(item_id)):
                return item_id
        raise RequestError(NOT_FOUND, f"{api_id}: no such {self._form.name}")

    def _shown(self, item_id: str, *, with_python: bool = False) -> dict[str, Any]:
        library = self._library
        stored = library.items[item_id]
        shown = self._form.shown(
            library.spec(item_id), library.body(item_id), with_python=with_python
        )
        modified = "updatedAt" if self._form.fields is QUERY else "lastModified"
        times = {"createdAt": stored.created, modified: stored.modified}
        return shown | {name: time for name, time in times.items() if time} | self._author()

    def _author(self) -> dict[str, Any]:
        return {"createdBy": USER_ACTOR} if "severity" in self._filters else {}

    def _named(self, request: RestRequest, default: str = "") -> str:
        body = request.mapping()
        key = "name" if self._form.fields is QUERY else "id"
        named = body.get(key, default)
        if not isinstance(named, str) or not named:
            raise RequestError(BAD, f"{key}: is not a text, or empty")
        return named

    def _store(self, request: RestRequest, before: Mapping[str, Any]) -> None:
        """Upload an item, with the same checks as any upload."""
        parameters = request.parameters
        runs_tests = parameters.flag("run-tests-first", default=False)
        if runs_tests or parameters.flag("run-tests-only", default=False):
            advice = "run them with panther_analysis_tool and send run-tests-first=false"
            raise RequestError(BAD, f"unit tests are {UNSUPPORTED} in a change; {advice}")
        parameters.end()
        required = ["sql"] if self._form.fields is QUERY else []
        body = dict(request.mapping(required)) | {"id": self._named(request, request.id)}
        if before and not self._form.takes(before):
            raise RequestError(CONFLICT, f"{body['id']}: is not stored as a {self._form.name}")
        spec = self._form.read(body, before)
        files = {}
        if not self._form.is_simple and self._form.fields is not QUERY:
            python = body.get("body", "")
            if not isinstance(python, str):
                raise RequestError(BAD, "body: is not text")
            if python:
                spec["Filename"] = f"{file_name(body['id'])}.py"
                files[spec["Filename"]] = python
            elif "Filename" in spec:
                raise RequestError(BAD, "body: is missing")
        files["item.yml"] = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
        outcome = self._library.upload(_archive(files))
        if outcome.problems:
            raise RequestError(BAD, "; ".join(problem.message for problem in outcome.problems))

    def _refuse_compliance(self, parameters: Parameters) -> None:
        if self._form.path == "policies" and parameters.choice("compliance-status", COMPLIANCE):
            message = f"compliance-status: {UNSUPPORTED}, which has no cloud resources"
            raise RequestError(BAD, message)


def item_routes(library: Library) -> dict[str, ItemRoutes]:
    """Return the handlers of all kinds of items, by the first part of their paths."""
    return {form.path: ItemRoutes(library, form) for form in FORMS}


def _is_wanted(
    item: Mapping[str, Any], chosen: Mapping[str, tuple[str, ...]], contains: str, state: str
) -> bool:
    names = (item["id"], item.get("displayName", ""), item.get("name", ""))
    if contains and not any(contains in name.lower() for name in names):
        return False
    if state and item.get("enabled") != (state == "enabled"):
        return False
    for field, wanted in chosen.items():
        values = item.get(field) or []
        if wanted and set(wanted).isdisjoint([values] if isinstance(values, str) else values):
            return False
    return True


def _archive(files: Mapping[str, str]) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return base64.b64encode(buffer.getvalue()).decode()
