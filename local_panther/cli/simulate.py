"""`local-panther simulate`."""

import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from local_panther.cli.common import UNUSABLE, message, message_console, note
from local_panther.cli.options import finite
from local_panther.simulate.identities import PrincipalKind
from local_panther.simulate.log_files import deliver, write
from local_panther.simulate.ordinary import ROLE_CALLS
from local_panther.simulate.ordinary import background as ordinary_records
from local_panther.simulate.scenario import Api, Scenario, attack

MAX_MINUTES = 366 * 24 * 60
YEARS = range(1971, 9999)  # leaves room for days before and after within valid timestamps
DEFAULT_START = datetime(2026, 1, 5, 10, 0, 0)
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)
FILE_NAME = re.compile(r".*\.[a-z][a-z0-9]{1,8}", re.IGNORECASE)
WRITTEN = re.compile(r".*\.(json|jsonl|ndjson)(\.gz)?")


def _role(arn: str | None) -> str | None:
    if arn is not None and not ROLE_ARN.fullmatch(arn):
        example = "arn:aws:iam::123456789012:role/FullAdminRole"
        raise typer.BadParameter(f"{arn!r} is not the ARN of a role, such as {example}")
    return arn


def _output(output: str) -> str:
    path = Path(output)
    is_folder = output.endswith("/") or path.is_dir() or not FILE_NAME.fullmatch(path.name)
    if output != "-" and not is_folder and not WRITTEN.fullmatch(path.name):
        message = f"{output}: files end in .json, .jsonl or .ndjson, optionally with .gz"
        raise typer.BadParameter(f"{message}; end the name of a folder with /")
    return output


def _would_be_lost(output: str) -> bool:
    """Return whether the output is an existing file that is not empty.

    Files in a folder are never lost: generated files have names that other files do not have.
    """
    path = Path(output)
    return output != "-" and path.is_file() and path.stat().st_size > 0


def simulate(
    output: Annotated[
        str,
        typer.Argument(
            help="A folder, a file (.json, .jsonl, .ndjson, also with .gz), or - for standard "
            "output.",
            callback=_output,
        ),
    ],
    *,
    roles: Annotated[
        int, typer.Option(min=1, help="Distinct role names that the attacker is denied.")
    ] = 12,
    accounts: Annotated[
        int, typer.Option(min=1, help="Accounts in which the attacker tries each name.")
    ] = 1,
    api: Annotated[
        Api, typer.Option(help="How the attacker tries to get into roles.")
    ] = Api.ASSUME_ROLE,
    principal: Annotated[
        PrincipalKind, typer.Option(help="Kind of the attacker.")
    ] = PrincipalKind.USER,
    principals: Annotated[
        int, typer.Option(min=1, help="Number of attackers, who take turns.")
    ] = 1,
    rotate_sessions: Annotated[
        bool, typer.Option("--rotate-sessions", help="Use a new session name for every call.")
    ] = False,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts on the same roles.")] = 0,
    minutes: Annotated[
        float,
        typer.Option(
            min=0,
            max=MAX_MINUTES,
            callback=finite,
            help="Minutes from the first to the last attempt.",
        ),
    ] = 10,
    succeed: Annotated[
        int, typer.Option(min=0, help="Roles that the attacker then gets into, or changes.")
    ] = 0,
    follow_up: Annotated[
        bool,
        typer.Option(
            "--follow-up", help="Use the sessions: read a secret, create an access key, …"
        ),
    ] = False,
    no_discovery: Annotated[
        bool, typer.Option("--no-discovery", help="Leave out the ListRoles call.")
    ] = False,
    discovery_last: Annotated[
        bool,
        typer.Option("--discovery-last", help="Call ListRoles after the attempts, not before."),
    ] = False,
    blocklisted: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="Role that a person assumes, to trigger the blocklist rule.",
            callback=_role,
        ),
    ] = None,
    console: Annotated[
        bool,
        typer.Option("--console", help="The person uses Switch role in the AWS console."),
    ] = False,
    owners: Annotated[
        bool, typer.Option("--owners", help="Pipelines also assume these roles, as they always do.")
    ] = False,
    background: Annotated[
        int, typer.Option(min=0, help="Number of ordinary records around the attack.")
    ] = 500,
    role_calls: Annotated[
        float, typer.Option(min=0, max=1, help="Share of role calls among the ordinary records.")
    ] = ROLE_CALLS,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Deliver records up to 15 minutes late, out of order.")
    ] = False,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the records delivered twice.")
    ] = 0,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="Time of the attack, UTC.")
    ] = DEFAULT_START,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write generated CloudTrail: a role attack among ordinary records."""
    if no_discovery and discovery_last:
        raise typer.BadParameter("--no-discovery and --discovery-last exclude each other")
    if accounts > 1 and api is Api.UPDATE_TRUST_POLICY:
        raise typer.BadParameter(
            "--accounts needs --api assume-role: IAM changes no role of another account"
        )
    if console and not blocklisted:
        raise typer.BadParameter("--console needs --blocklisted, the role to switch to")
    if start.year not in YEARS:
        raise typer.BadParameter(f"--start: a year from {YEARS[0]} to {YEARS[-1]}")
    if follow_up and not succeed:
        raise typer.BadParameter("--follow-up needs --succeed, the number of sessions")
    if not force and _would_be_lost(output):
        raise typer.BadParameter(f"{output} exists: name another file, or replace it with --force")
    epoch = start.replace(tzinfo=UTC).timestamp()
    scenario = Scenario(
        roles=roles,
        accounts=accounts,
        api=api,
        principal=principal,
        retries=retries,
        minutes=minutes,
        principals=principals,
        rotate_sessions=rotate_sessions,
        discovery=not no_discovery,
        discovery_last=discovery_last,
        succeed=succeed,
        follow_up=follow_up,
        owners=owners,
        blocklisted=blocklisted,
        console=console,
        start=epoch,
    )
    random = Random(seed)
    records = [*attack(scenario, random), *ordinary_records(background, epoch, random, role_calls)]
    messages = message_console()
    try:
        files = write(deliver(records, random, shuffle=shuffle, duplicates=duplicates), output)
    except BrokenPipeError:
        raise
    except OSError as error:
        messages.print(message(f"{output}: cannot be written: {error.strerror}"))
        raise typer.Exit(UNUSABLE) from error
    if files:
        note(f"{output}: {len(records):,} records in {files:,} files", messages)
