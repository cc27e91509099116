"""`local-panther serve`."""

import contextlib
import os
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from local_panther.cli.boxed import TrustContent, note_limits
from local_panther.cli.common import UNUSABLE, content_errors, message, message_console, note
from local_panther.cli.options import Workers
from local_panther.processes import END_SIGNALS

if TYPE_CHECKING:
    from local_panther.console.sessions import Sessions
    from local_panther.instance.alerts.webhook import Webhook
    from local_panther.instance.http.server import Background
    from local_panther.instance.instance import Instance

STATE = Path(".local-panther")
MAX_TOKEN = 4096  # characters read from a token file: /dev/zero never ends
TOKEN_VARIABLE = "PANTHER_API_TOKEN"
SECRET_VARIABLE = "PANTHER_WEBHOOK_SECRET"


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8097,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the token that clients must send. By default the token is taken from "
            f"{TOKEN_VARIABLE}, else generated.",
        ),
    ] = None,
    state: Annotated[
        Path, typer.Option(help="Folder for uploads, alerts and the data lake.")
    ] = STATE,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines can reach.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also accept requests for this host name; repeatable."),
    ] = None,
    replay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="CloudTrail to run the uploaded content over at the start: a file, a folder or "
            "s3://bucket/prefix; repeatable. Fills the alerts and the data lake.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Also replay files that arrive later in the folders and buckets of --replay.",
        ),
    ] = False,
    deliver: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help=f"Webhook that gets each new alert, signed with the key in {SECRET_VARIABLE}.",
        ),
    ] = "",
    workers: Workers = 0,
    trust_content: TrustContent = False,
) -> None:
    """Run a local instance for Panther's clients: content, alerts and the data lake."""
    from local_panther.console.sessions import Sessions
    from local_panther.console.site import Console as Pages
    from local_panther.instance.http.access import is_loopback
    from local_panther.instance.http.server import Listening, serve_until_stopped

    messages = message_console()
    if not is_loopback(host):
        if not allow_remote:
            reason = "is reachable from other machines; add --allow-remote if you want that"
            _fail(messages, f"--host {host} {reason}")
        text = "warning: anyone with the token can run Python here, and it is sent unencrypted"
        messages.print(message(text, "yellow"))
    given = _given_token(token_file, messages)
    token = given or secrets.token_urlsafe(24)
    feed = _feed(replay or [], workers, messages, follow=follow, trust=trust_content)
    webhook = _webhook(deliver, messages)
    note_limits(messages, trust=trust_content)
    sessions = Sessions(token)
    links = list[str]()
    os.umask(0o077)

    def ready(url: str) -> None:
        print(f"export PANTHER_API_HOST={url}")
        if not given:  # a given token is a secret, and must not end up in a log
            print(f"export {TOKEN_VARIABLE}={shlex.quote(token)}")
        print(end="", flush=True)
        links.append(url.removesuffix("/public/graphql"))
        note(_console_link(links[0], sessions, is_secret=bool(given)), messages)
        note(f"uploads are kept in {state}; Ctrl-C stops", messages)

    try:
        with content_errors(messages):
            pages = lambda instance: Pages(instance, sessions)  # noqa: E731
            listening = Listening(host, port, token, allow_host or (), pages=pages)
            background = _background(feed, webhook, links, lambda text: note(text, messages))
            serve_until_stopped(
                state, listening, ready, END_SIGNALS, background, trust=trust_content
            )
        note(f"stopped; uploads are in {state}", messages)
    except BrokenPipeError:
        raise
    except (OSError, UnicodeError) as error:
        _fail(messages, f"{host} port {port}, {state}: {error}")


def _console_link(address: str, sessions: "Sessions", *, is_secret: bool) -> str:
    """Return a line with the console's link, which signs in once unless the token is secret."""
    if is_secret:
        return f"console: {address}/ (sign in with the token)"
    return f"console: {address}/console/login?code={sessions.new_code()} (signs in once)"


def _feed(
    paths: list[str], workers: int, messages: Console, *, follow: bool, trust: bool
) -> "Background":
    """Return the background task that replays files through the uploaded content."""
    from local_panther.records.s3 import is_s3
    from local_panther.records.workers import usable_cores
    from local_panther.serving.feed import Feed

    if not paths:
        if follow:
            _fail(messages, "--follow needs --replay with the folders to follow")
        return contextlib.nullcontext
    for path in paths:
        if not is_s3(path) and not Path(path).exists():
            _fail(messages, f"--replay {path}: no such file, folder or bucket")

    def report(text: str) -> None:
        note(text, messages)

    def feed(instance: "Instance") -> Feed:
        count = workers or usable_cores()
        return Feed(instance, paths, count, report, follow=follow, trust=trust)

    return feed


def _webhook(url: str, messages: Console) -> "Webhook | None":
    """Return the webhook of a URL, None for an empty one; exit if it cannot be used."""
    from local_panther.instance.alerts.webhook import Webhook

    if not url:
        return None
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        _fail(messages, f"--deliver needs a key for its signatures in {SECRET_VARIABLE}")
    try:
        return Webhook(url, secret.encode())
    except ValueError as error:
        _fail(messages, f"--deliver {url}: {error}")


def _background(
    feed: "Background",
    webhook: "Webhook | None",
    links: Sequence[str],
    report: Callable[[str], None],
) -> "Background":
    """Return all background tasks; deliveries start before the replay that makes the alerts."""

    @contextlib.contextmanager
    def background(instance: "Instance") -> Iterator[None]:
        from local_panther.instance.alerts.webhook import WebhookSender

        with contextlib.ExitStack() as stack:
            if webhook:
                stack.enter_context(
                    WebhookSender(instance.alerts, instance.library, webhook, links[0], report)
                )
            stack.enter_context(feed(instance))
            yield

    return background


def _given_token(path: Path | None, messages: Console) -> str:
    """Return the token that the user gave; "" if there is none.

    No option takes the token itself: other users of the machine can read command lines.
    """
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            return ""
    else:
        try:
            with path.open(encoding="utf-8") as file:
                token = file.read(MAX_TOKEN).strip()
        except (OSError, UnicodeDecodeError) as error:
            _fail(messages, f"--token-file {path}: {error}")
    if not token or not token.isprintable():
        _fail(messages, f"--token-file {path or TOKEN_VARIABLE}: holds no token")
    return token


def _fail(messages: Console, text: str) -> NoReturn:
    messages.print(message(text))
    raise typer.Exit(UNUSABLE)
