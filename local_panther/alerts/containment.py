"""How to stop the caller of an incident, and whom it became: AWS' documented ways, as commands.

They are shown to people and never run. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys-admin-managed.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html,
https://docs.aws.amazon.com/singlesignon/latest/userguide/disableuser.html
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from local_panther.roles.calls import ROLE_NAME
from local_panther.roles.facts import RoleFacts
from local_panther.roles.principals import ARN, IDENTITY_CENTER, WEB_IDENTITY, role_of_session

LONG_TERM = "AKIA"  # prefix of the keys that belong to a user and not to a session
POLICY = "AWSRevokeOlderSessions"  # the name that the console gives it
MAX_NAMES = 50  # in one command
NOW = '"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'


@dataclass(frozen=True)
class Action:
    """One thing to do.

    Attributes:
        text: What it does.
        commands: For a shell; none where only the console can do it.
    """

    text: str
    commands: tuple[str, ...] = ()


def containment(principal: str, keys: Sequence[str], roles: RoleFacts | None) -> tuple[Action, ...]:
    """Return what stops a caller, and then what stops the sessions that it got.

    Args:
        principal: Who it is, from `principal_of`.
        keys: IDs of the access keys that it called with.
        roles: What it did with roles; None if that is not known.
    """
    return (*_of_caller(principal, keys), *_of_roles(roles))


def _of_caller(principal: str, keys: Sequence[str]) -> Iterator[Action]:
    if principal.startswith(IDENTITY_CENTER):
        person = principal.removeprefix(IDENTITY_CENTER)
        yield Action(
            f"Stop {person}: disable the user in IAM Identity Center, delete its active sessions, "
            "and deny its identitystore:UserId in the permission sets until these have ended"
        )
        return
    if principal.startswith(WEB_IDENTITY):
        yield Action(f"Stop {principal}: remove it from the trust policies that name its provider")
        return
    found = ARN.fullmatch(role_of_session(principal))
    kind, name = (found[2], (found[3] or "").rsplit("/", 1)[-1]) if found else ("", "")
    # Names of users have the characters of roles' names.
    if kind == "root":
        yield Action(
            "Stop the root user: change its password, delete its access keys, check its MFA"
        )
    elif kind == "user" and ROLE_NAME.fullmatch(name):
        yield from _of_user(name, keys)
    elif kind == "role" and ROLE_NAME.fullmatch(name):
        revoke = _deny_older("put-role-policy", "--role-name", [name])
        yield Action(
            f"Stop role {name}: end its sessions; then fix the workload that holds its credentials",
            (revoke,),
        )
    elif kind == "federated-user":
        yield Action(
            f"Stop {principal}: deactivate the keys of the user that called GetFederationToken, "
            "and deny what was issued before now"
        )


def _of_user(name: str, keys: Sequence[str]) -> Iterator[Action]:
    long_term = [key for key in keys if key.startswith(LONG_TERM) and ROLE_NAME.fullmatch(key)]
    if long_term:
        options = f"--user-name={shlex.quote(name)} --status=Inactive --access-key-id"
        commands = tuple(f"aws iam update-access-key {options}={key}" for key in long_term)
        yield Action(f"Stop user {name}: deactivate the access keys that it called with", commands)
    if len(long_term) < len(keys) or not keys:
        deny = _deny_older("put-user-policy", "--user-name", [name])
        yield Action(f"Stop user {name}: end its sessions, and change its password", (deny,))


def _of_roles(roles: RoleFacts | None) -> Iterator[Action]:
    if roles is None:
        return
    look = "aws iam get-role --query=Role.AssumeRolePolicyDocument --role-name"
    for account, parts in _by_account(roles.changed):
        commands = tuple(_each(names, look) for names in parts)
        yield Action(f"Put the trust policies back that it changed in {account}", commands)
    for account, parts in _by_account(call.role for call in roles.entered):
        commands = tuple(_deny_older("put-role-policy", "--role-name", names) for names in parts)
        yield Action(f"End the sessions of the roles that it entered in {account}", commands)


def _by_account(keys: Iterable[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield each account with the names of its roles, as many together as one command takes."""
    found: dict[str, list[str]] = {}
    for key in keys:
        account, _, name = key.partition(":role/")
        found.setdefault(account, []).append(name)
    for account, names in found.items():
        yield account, [names[i : i + MAX_NAMES] for i in range(0, len(names), MAX_NAMES)]


def _deny_older(operation: str, option: str, names: Sequence[str]) -> str:
    """Return the command that denies all to sessions that were issued before it is run."""
    condition = {"DateLessThan": {"aws:TokenIssueTime": "NOW"}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]}, separators=(",", ":"))
    policy = "'" + document.replace("NOW", f"'{NOW}'") + "'"
    options = f"--policy-name={POLICY} --policy-document={policy} {option}"
    return _each(names, f"aws iam {operation} {options}")


def _each(names: Sequence[str], command: str) -> str:
    """Return a command for one name, or a loop for several; a name cannot pass for an option."""
    if len(names) == 1:
        return f"{command}={shlex.quote(names[0])}"
    return f'for name in {shlex.join(names)}; do {command}="$name"; done'
