"""`local-panther serve`."""

import asyncio
import secrets
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from local_panther.cli.common import UNUSABLE, content_errors, message_console

STATE = Path(".local-panther")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8097,
    token: Annotated[
        str | None, typer.Option(help="What clients must send; generated if omitted.")
    ] = None,
    state: Annotated[Path, typer.Option(help="Folder in which uploads are kept.")] = STATE,
) -> None:
    """Run an instance for panther_analysis_tool: test, validate, upload, delete."""
    from local_panther.instance.server import serve as run

    token = token or secrets.token_urlsafe(24)
    messages = message_console()

    def ready(url: str) -> None:
        print(f"export PANTHER_API_HOST={url}")
        print(f"export PANTHER_API_TOKEN={shlex.quote(token)}", flush=True)
        messages.print(Text(f"{url}\nuploads are kept in {state}; Ctrl-C stops"))

    try:
        with content_errors(messages):
            asyncio.run(run(state, host, port, token, ready))
    except KeyboardInterrupt:
        messages.print(Text(f"stopped; uploads are in {state}"))
    except OSError as error:
        messages.print(Text(f"{host} port {port}, {state}: {error}"))
        raise typer.Exit(UNUSABLE) from error
