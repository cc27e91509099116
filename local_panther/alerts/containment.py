"""Commands that stop the caller of an incident and the sessions that it got, as AWS documents them.

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

LONG_TERM = "AKIA"  # prefix of keys that belong to a user and not to a session
POLICY = "AWSRevokeOlderSessions"  # name of the policy that the AWS console creates
MAX_NAMES = 50  # names in one command
NOW = '"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'


@dataclass(frozen=True)
class Action:
    """An action that contains an incident.

    Attributes:
        text: Description of the action.
        commands: Shell commands; empty if there is no command for it.
    """

    text: str
    commands: tuple[str, ...] = ()


def containment(principal: str, keys: Sequence[str], roles: RoleFacts | None) -> tuple[Action, ...]:
    """Return the actions that stop a caller, then those that stop the sessions that it got.

    Args:
        principal: Name of the caller, from `principal_of`.
        keys: IDs of the access keys that it used.
        roles: Facts about the caller and roles; None if they are unknown.
    """
    return (*_stop_caller(principal, keys), *_stop_sessions(roles))


def _stop_caller(principal: str, keys: Sequence[str]) -> Iterator[Action]:
    if principal.startswith(IDENTITY_CENTER):
        person = principal.removeprefix(IDENTITY_CENTER)
        yield Action(
            f"Stop {person}: disable the user in IAM Identity Center, delete its active sessions, "
            "and deny its identitystore:UserId in the permission sets until the sessions have ended"
        )
        return
    if principal.startswith(WEB_IDENTITY):
        yield Action(f"Stop {principal}: remove it from the trust policies that name its provider")
        return
    found = ARN.fullmatch(role_of_session(principal))
    kind, name = (found[2], (found[3] or "").rsplit("/", 1)[-1]) if found else ("", "")
    # Names of users have the same characters as names of roles.
    if kind == "root":
        yield Action(
            "Stop the root user: change its password, delete its access keys, check its MFA"
        )
    elif kind == "user" and ROLE_NAME.fullmatch(name):
        yield from _stop_user(name, keys)
    elif kind == "role" and ROLE_NAME.fullmatch(name):
        revoke = _deny_older("put-role-policy", "--role-name", [name])
        yield Action(
            f"Stop role {name}: end its sessions; then fix the workload that holds its credentials",
            (revoke,),
        )
    elif kind == "federated-user":
        yield Action(
            f"Stop {principal}: deactivate the keys of the user that called GetFederationToken, "
            "and deny sessions issued before now"
        )


def _stop_user(name: str, keys: Sequence[str]) -> Iterator[Action]:
    long_term = [key for key in keys if key.startswith(LONG_TERM) and ROLE_NAME.fullmatch(key)]
    if long_term:
        options = f"--user-name={shlex.quote(name)} --status=Inactive --access-key-id"
        commands = tuple(f"aws iam update-access-key {options}={key}" for key in long_term)
        yield Action(f"Stop user {name}: deactivate the access keys it used", commands)
    if len(long_term) < len(keys) or not keys:
        deny = _deny_older("put-user-policy", "--user-name", [name])
        yield Action(f"Stop user {name}: end its sessions, and change its password", (deny,))


def _stop_sessions(roles: RoleFacts | None) -> Iterator[Action]:
    if roles is None:
        return
    look = "aws iam get-role --query=Role.AssumeRolePolicyDocument --role-name"
    for account, parts in _by_account(roles.changed):
        commands = tuple(_each(names, look) for names in parts)
        yield Action(f"Restore the trust policies it changed in {account}", commands)
    for account, parts in _by_account(call.role for call in roles.entered):
        commands = tuple(_deny_older("put-role-policy", "--role-name", names) for names in parts)
        yield Action(f"End the sessions of the roles it entered in {account}", commands)


def _by_account(keys: Iterable[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield each account with the names of its roles, in parts of at most MAX_NAMES."""
    found: dict[str, list[str]] = {}
    for key in keys:
        account, _, name = key.partition(":role/")
        found.setdefault(account, []).append(name)
    for account, names in found.items():
        yield account, [names[i : i + MAX_NAMES] for i in range(0, len(names), MAX_NAMES)]


def _deny_older(operation: str, option: str, names: Sequence[str]) -> str:
    """Return a command that denies everything to sessions issued before the command runs."""
    condition = {"DateLessThan": {"aws:TokenIssueTime": "NOW"}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]}, separators=(",", ":"))
    policy = "'" + document.replace("NOW", f"'{NOW}'") + "'"
    options = f"--policy-name={POLICY} --policy-document={policy} {option}"
    return _each(names, f"aws iam {operation} {options}")


def _each(names: Sequence[str], command: str) -> str:
    """Return a command for one name, or a loop over several; no name is taken for an option."""
    if len(names) == 1:
        return f"{command}={shlex.quote(names[0])}"
    return f'for name in {shlex.join(names)}; do {command}="$name"; done'
