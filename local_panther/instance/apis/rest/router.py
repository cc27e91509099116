"""Routes requests of the REST API to their handlers."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from local_panther.instance.apis import UNSUPPORTED
from local_panther.instance.apis.rest import directory
from local_panther.instance.apis.rest.alerts import AlertRoutes
from local_panther.instance.apis.rest.items import item_routes
from local_panther.instance.apis.rest.requests import (
    BAD,
    NOT_FOUND,
    Parameters,
    Reply,
    RequestError,
    RestRequest,
)
from local_panther.instance.instance import Instance

Answer = Callable[[RestRequest], Reply]
ANY = "*"  # a part of a path that is an ID
NOT_ALLOWED, FAILED = 405, 500


class Router:
    """The paths of the REST API and their handlers."""

    def __init__(self, instance: Instance) -> None:
        """Route requests to an instance."""
        alerts = AlertRoutes(instance.alerts)
        self._routes: dict[tuple[str, ...], dict[str, Answer]] = {
            ("alerts",): {"GET": alerts.find, "PATCH": alerts.change_many},
            ("alerts", ANY): {"GET": alerts.get, "PATCH": alerts.change},
            ("alerts", ANY, "events"): {"GET": alerts.events},
            ("alert-comments",): {"GET": alerts.comments, "POST": alerts.comment},
            ("alert-comments", ANY): {"GET": alerts.get_comment, "POST": alerts.edit_comment},
            ("users",): {"GET": directory.list_users},
            ("users", ANY): {"GET": directory.get_user},
            ("roles",): {"GET": directory.list_roles},
            ("roles", ANY): {"GET": directory.get_role},
            ("api-tokens",): {"GET": directory.list_tokens},
            ("api-tokens", ANY): {"GET": directory.get_token},
        }
        for path, items in item_routes(instance.library).items():
            self._routes[path,] = {"GET": items.find, "POST": items.create}
            change: dict[str, Answer] = {"PUT": items.replace}
            if path == "queries":
                change = {"POST": items.change_query}
            self._routes[path, ANY] = {"GET": items.get, "DELETE": items.delete, **change}

    def answer(
        self, method: str, path: str, query: Mapping[str, Sequence[str]], text: str
    ) -> Reply:
        """Answer a request.

        Args:
            method: HTTP method.
            path: The path as it was sent, percent-encoded.
            query: The values of each parameter.
            text: The body, "" if there is none.
        """
        try:
            answer, item_id = self._find(method, path)
            return answer(RestRequest(Parameters(query), _body(text), item_id))
        except RequestError as error:
            return Reply({"message": str(error)}, error.status)
        except Exception as error:  # such as a full disk
            logging.exception("%s %s", method, path)
            return Reply({"message": f"{type(error).__name__}: {error}"}, FAILED)

    def _find(self, method: str, path: str) -> tuple[Answer, str]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        for known, answers in self._routes.items():
            if len(known) == len(parts) and all(
                name in (ANY, part) for name, part in zip(known, parts, strict=True)
            ):
                if method not in answers:
                    message = f"{method} {path}: {UNSUPPORTED}; there is {', '.join(answers)}"
                    raise RequestError(NOT_ALLOWED, message)
                return answers[method], next(
                    (part for name, part in zip(known, parts, strict=True) if name == ANY), ""
                )
        raise RequestError(NOT_FOUND, f"{method} {path}: {UNSUPPORTED}")


def _body(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise RequestError(BAD, "the body is not JSON") from error
