"""The process that panther_analysis_tool runs in: it imports the unmodified tool, then waits.

Importing the tool takes over a second. It is done before arguments and variables arrive, while the
parent process prepares the instance, and without modules that a test never uses.
"""

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from local_panther.box.entry import NO_NETWORK, enter
from local_panther.box.environment import of_the_tool
from local_panther.box.watch import content_in
from local_panther.content.json_paths import use_one_grammar
from local_panther.content.verdicts import remember_verdicts
from local_panther.imports import deferred
from local_panther.processes import collect_garbage_rarely, end_with_parent
from local_panther.tool_runs.client import make_client_when_needed
from local_panther.tool_runs.narrowing import narrow
from local_panther.tool_runs.watching import record_refusals, watch

HOST = "PANTHER_API_HOST"

COMMANDS = (
    "benchmark",
    "bulk_delete",
    "check_connection",
    "explore",
    "fmt",
    "init_project",
    "install",
    "merge",
    "migrate",
    "update",
    "validate",
)
AIOHTTP = "gql.transport.aiohttp"
UNUSED = (
    *(f"panther_analysis_tool.command.{name}" for name in COMMANDS),
    "panther_analysis_tool.core.analysis_cache",
    "panther_analysis_tool.backend.lambda_client",
    "panther_analysis_tool.backend.public_api_client",
    "boto3",
    "botocore",
    "jsonschema",
    "requests",
    AIOHTTP,
)


def main() -> None:
    """Import the tool, read a task as JSON from the pipe given by its descriptor, and run it."""
    end_with_parent()
    collect_garbage_rarely()
    tool = imported_tool()
    with os.fdopen(int(sys.argv[1])) as pipe:
        given = pipe.read()
    if given:
        task = json.loads(given)
        if task["box"]:
            # The tool may only write to its own folder and connect to the instance of this run.
            port = urlsplit(task["environment"].get(HOST, "")).port or NO_NETWORK
            enter(
                writable=map(Path, task["writable"]),
                network=port,
                temporary=own_folder(),
                kept=of_the_tool(),
            )
        os.environ.update(task["environment"])
        sys.argv = ["panther_analysis_tool", *task["arguments"]]
        with Path(task["report"]).open("w", encoding="utf-8") as report:
            watch(tool, report)
            narrow(tool, task["narrowed"], Path(task["loaded"]))
            make_client_when_needed(tool.pat_utils, task["environment"].get(HOST, ""))
            try:
                with content_in(Path(task["content"])), content_in(own_folder()):
                    tool.run()
            finally:
                record_refusals(report)


def own_folder() -> Path:
    """Return the folder of this run, in which all temporary files are."""
    return Path(os.environ["TMPDIR"])


def imported_tool() -> ModuleType:
    """Import `panther_analysis_tool.main`, and let it cache its verdicts on items."""
    with deferred(*UNUSED):
        with suppress(KeyError):  # the module is imported already
            # The tool sets the level of this logger in every run.
            vars(sys.modules[AIOHTTP])["log"] = logging.getLogger(AIOHTTP)
        from panther_analysis_tool import analysis_utils, main
    remember_verdicts(analysis_utils)
    use_one_grammar()
    return main
