"""The console over HTTP: sign-in, paths and headers.

Only the cookie of a session gives access here, and it gives no access to the APIs: these need the
token in a header, which no page of another site can send. Each change needs a secret that only the
forms of these pages have.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import jinja2
from aiohttp import hdrs, web
from markupsafe import Markup, escape

from local_panther.console.asked import Asked, Download, Moved, Page, Reply
from local_panther.console.content import ContentPage
from local_panther.console.incidents import Incidents
from local_panther.console.queries import Queries
from local_panther.console.sessions import Session, Sessions
from local_panther.instance.alerts.model import STATUSES
from local_panther.instance.apis.rest.requests import RequestError
from local_panther.instance.instance import Instance
from local_panther.report.page import report_environment

LOGIN, LOGOUT, LIVE, HOME = "/console/login", "/console/logout", "/console/live", "/"
ICON = "/favicon.ico"  # browsers request it
CSRF = "csrf"
MAX_FORM = 512 * 1024  # bytes
MAX_FIELDS = 200
FORM_SECONDS = 60.0
MAX_LIVE = 50  # open pages that are notified of changes
LOOK_SECONDS = 0.5  # between two checks for changes
ALIVE_SECONDS = 15.0  # between two messages that keep the connection open
LIVE_SECONDS = 3600.0
NEXT = re.compile(r"/(?:console/[!-~]*|\?[!-~]*)?")
FORM = "application/x-www-form-urlencoded"
HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ONE = "([^/]{1,200})"  # the ID in a path
Answer = Callable[[Asked], Reply]


class Console:
    """The pages of an instance."""

    def __init__(self, instance: Instance, sessions: Sessions) -> None:
        """Prepare the pages.

        Args:
            instance: The instance that the pages show.
            sessions: The sessions of people who are signed in.
        """
        self._instance = instance
        self._sessions = sessions
        self._live = 0
        self._closing = asyncio.Event()
        self._environment = report_environment(jinja2.PackageLoader("local_panther.console"))
        self._environment.filters["verbatim"] = lambda text: Markup(escape(text))
        self._environment.globals |= {"STATUSES": STATUSES}
        incidents, queries = Incidents(instance), Queries(instance)
        content = ContentPage(instance)
        self._routes: list[tuple[str, re.Pattern[str], Answer]] = [
            (method, re.compile(path), answer)
            for method, path, answer in (
                ("GET", "/(?:console/?)?", incidents.listed),
                ("GET", f"/console/incidents/{ONE}", incidents.shown),
                ("POST", f"/console/incidents/{ONE}", incidents.changed),
                ("GET", f"/console/alerts/{ONE}/events", incidents.events),
                ("GET", "/console/sql", queries.editor),
                ("POST", "/console/queries", queries.run),
                ("GET", f"/console/queries/{ONE}", queries.result),
                ("GET", f"/console/queries/{ONE}/csv", queries.download),
                ("POST", f"/console/queries/{ONE}/cancel", queries.cancel),
                ("GET", "/console/content", content.shown),
            )
        ]

    def close(self) -> None:
        """End the responses that notify open pages."""
        self._closing.set()

    def has(self, path: str) -> bool:
        """Return whether a path is one of the pages."""
        return path in (HOME, ICON, "/console") or path.startswith("/console/")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST):
            return self._error(RequestError(405, f"{request.method} is not for this page"))
        if request.path == ICON:
            return web.Response(status=204, headers=HEADERS)
        session = self._sessions.get(request.cookies.get(_cookie_name(request), ""))
        try:
            if request.path == LOGIN:
                return await self._login(request)
            if session is None:
                if request.method == hdrs.METH_POST or request.path == LIVE:
                    raise RequestError(403, "you are not signed in; nothing was changed")
                return _moved(f"{LOGIN}?{urlencode({'next': request.path_qs})}")
            if request.method == hdrs.METH_POST:
                return await self._change(request, session)
            if request.path == LIVE:
                return await self._notify(request)
            return await self._reply(request, session, {})
        except RequestError as error:
            return self._error(error, session)
        except ConnectionError:
            raise
        except Exception as error:  # such as a full disk, or data that content code has forged
            logging.exception("%s %s", request.method, request.path)
            message = f"this page failed ({type(error).__name__}); the server's terminal says why"
            return self._error(RequestError(500, message), session)

    async def _change(self, request: web.Request, session: Session) -> web.StreamResponse:
        form = await _form(request)
        if not session.allows(form.get(CSRF, "")):
            raise RequestError(
                403, "the form is not from a page of this session; nothing was changed"
            )
        if request.path == LOGOUT:
            self._sessions.end(request.cookies.get(_cookie_name(request), ""))
            response = _moved(LOGIN)
            response.del_cookie(_cookie_name(request), path="/")
            return response
        return await self._reply(request, session, form)

    async def _reply(
        self, request: web.Request, session: Session, form: Mapping[str, str]
    ) -> web.Response:
        method = "GET" if request.method == hdrs.METH_HEAD else request.method
        raw = request.rel_url.raw_path
        for known, path, answer in self._routes:
            if known == method and (found := path.fullmatch(raw)):
                query = {name: request.query.getall(name) for name in request.query}
                part = unquote(found[1]) if found.groups() else ""
                asked = Asked(session, part, query, form, request.path_qs)
                return await asyncio.to_thread(self._answered, answer, asked)
        raise RequestError(404, f"there is no page {request.path}")

    def _answered(self, answer: Answer, asked: Asked) -> web.Response:
        reply = answer(asked)
        if isinstance(reply, Moved):
            return _moved(reply.address)
        if isinstance(reply, Download):
            name = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{quote(reply.name)}"'}
            return web.Response(
                body=reply.text.encode("utf-8", "replace"),
                content_type="text/csv",
                charset="utf-8",
                headers=HEADERS | name,
            )
        return self._page(reply, asked.session, address=asked.address)

    async def _login(self, request: web.Request) -> web.Response:
        """Sign in with a code in the address or the token in a form; otherwise show the form."""
        after = request.query.get("next", HOME)
        after = after if NEXT.fullmatch(after) else HOME
        problem, status = "", 200
        cookie: str | None = None
        if request.method == hdrs.METH_POST:
            cookie = self._sessions.sign_in((await _form(request)).get("token", "").strip())
            problem, status = ("", 200) if cookie else ("This is not the token.", 403)
        elif code := request.query.get("code", ""):
            if (
                request.method == hdrs.METH_GET
            ):  # HEAD, for example of a link preview, does not use it up
                cookie = self._sessions.use_code(code)
            problem, status = "This link was used or has expired: sign in with the token.", 403
        if cookie is None:
            values = {"problem": problem, "next": after}
            return self._page(Page("login.html.j2", values, status), None)
        response = _moved(after)
        response.set_cookie(
            _cookie_name(request), cookie, path="/", httponly=True, samesite="Strict"
        )
        return response

    async def _notify(self, request: web.Request) -> web.StreamResponse:
        """Notify a page of changes with server-sent events while its session lasts."""
        if self._live >= MAX_LIVE:
            return web.Response(status=204, headers=HEADERS)  # tells the browser not to reconnect
        headers = HEADERS | {hdrs.CONTENT_TYPE: "text/event-stream"}
        response = web.StreamResponse(headers=headers)
        self._live += 1
        try:
            await response.prepare(request)
            cookie = request.cookies.get(_cookie_name(request), "")
            async for text in self._news(lambda: self._sessions.get(cookie) is not None):
                await response.write(text.encode())
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._live -= 1
        return response

    async def _news(self, goes_on: Callable[[], bool]) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        start = alive = clock()
        known = -1
        while goes_on() and clock() - start < LIVE_SECONDS and not self._closing.is_set():
            changes = self._instance.alerts.changes
            if changes != known:
                known, alive = changes, clock()
                yield f"event: change\ndata: {changes}\n\n"
            elif clock() - alive > ALIVE_SECONDS:
                alive = clock()
                yield ": \n\n"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_SECONDS)

    def _error(self, error: RequestError, session: Session | None = None) -> web.Response:
        page = Page("error.html.j2", {"message": str(error)}, error.status)
        response = self._page(page, session)
        if session is None:
            response.force_close()  # do not wait for a body
        return response

    def _page(self, page: Page, session: Session | None, address: str = HOME) -> web.Response:
        values: dict[str, Any] = {
            "csrf": session.csrf if session else "",
            "address": address,
            **page.values,
        }
        text = self._environment.get_template(page.template).render(values)
        return web.Response(
            body=text.encode("utf-8", "replace"),
            status=page.status,
            content_type="text/html",
            charset="utf-8",
            headers=HEADERS,
        )


async def _form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        RequestError: The body is not a form, is too large or arrives too slowly.
    """
    if request.content_type != FORM:
        raise RequestError(415, f"Only {FORM} is accepted")
    body = b""
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_FORM:
                    raise RequestError(413, f"the form is larger than {MAX_FORM >> 10} KB")
    except TimeoutError as error:
        raise RequestError(408, "the form took too long") from error
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        logging.debug("form", exc_info=error)
        raise RequestError(400, "the form cannot be read") from error
    return dict(fields)


def _moved(address: str) -> web.Response:
    return web.Response(status=303, headers=HEADERS | {hdrs.LOCATION: address})


def _cookie_name(request: web.Request) -> str:
    """Return a name of this server's own: ports of one machine share their cookies."""
    place = request.transport.get_extra_info("sockname") if request.transport else None
    return f"local_panther_{place[1]}" if place else "local_panther"
