"""Users, roles and API tokens over REST: a local instance has one of each."""

from typing import Any

from local_panther.instance.apis.identity import ROLE, TOKEN, USER
from local_panther.instance.apis.rest.requests import (
    NOT_FOUND,
    Page,
    Reply,
    RequestError,
    RestRequest,
)


def list_users(request: RestRequest) -> Reply:
    """List the users."""
    parameters = request.parameters
    page = Page.of(parameters, 60, 60)
    contains, email = parameters.text("contains").lower(), parameters.text("email")
    ids = (*parameters.many("id"), *parameters.many("ids"))
    status = parameters.text("status")
    parameters.flag("include-deactivated", default=False)
    parameters.end()
    names = f"{USER['email']} {USER['givenName']} {USER['familyName']}".lower()
    shown = contains in names and email in ("", USER["email"])
    shown = shown and (not ids or USER["id"] in ids) and status in ("", USER["status"])
    return page.reply_by({str(USER["id"]): USER} if shown else {}, dict)


def get_user(request: RestRequest) -> Reply:
    """Return a user, by ID or e-mail address."""
    return _one(request, USER, (USER["id"], USER["email"]), "user")


def list_roles(request: RestRequest) -> Reply:
    """List the roles."""
    parameters = request.parameters
    name, contains = parameters.text("name"), parameters.text("name-contains").lower()
    ids = (*parameters.many("id"), *parameters.many("ids"))
    parameters.choice("sort-dir", ("asc", "desc"), "asc")
    parameters.end()
    shown = name in ("", ROLE["name"]) and contains in str(ROLE["name"]).lower()
    shown = shown and (not ids or ROLE["id"] in ids)
    return Reply({"results": [ROLE] if shown else []})


def get_role(request: RestRequest) -> Reply:
    """Return a role, by ID or name."""
    return _one(request, ROLE, (ROLE["id"], ROLE["name"]), "role")


def list_tokens(request: RestRequest) -> Reply:
    """List the tokens, without their values."""
    request.parameters.end()
    return Reply({"results": [TOKEN]})


def get_token(request: RestRequest) -> Reply:
    """Return a token by ID or `self`, without its value."""
    return _one(request, TOKEN, (TOKEN["id"], "self"), "token")


def _one(request: RestRequest, entry: dict[str, Any], names: tuple[Any, ...], kind: str) -> Reply:
    request.parameters.end()
    if request.id not in names:
        raise RequestError(NOT_FOUND, f"{request.id}: no such {kind}")
    return Reply(entry)
