"""Callers: the `userIdentity` of each kind of caller, as AWS writes it."""

from enum import StrEnum
from typing import Any

ACCOUNT = "123456789012"
SSO_ROLE = "AWSReservedSSO_PowerUserAccess_0123456789abcdef"
SSO_PATH = "aws-reserved/sso.amazonaws.com/"


class PrincipalKind(StrEnum):
    """Kinds of callers."""

    USER = "user"
    ROLE = "role"
    SSO = "sso"
    FEDERATED = "federated"
    ROOT = "root"


def identity(kind: PrincipalKind, name: str, session: str) -> dict[str, Any]:
    """Return the `userIdentity` of a caller.

    Args:
        kind: Kind of the caller.
        name: Name of the user, role or person. Persons of kind `SSO` share one role.
        session: Session name of a caller of kind `ROLE`.
    """
    if kind is PrincipalKind.USER:
        return user_identity(name, ACCOUNT, f"AKIA{_digits(name)}")
    if kind is PrincipalKind.ROOT:
        return _identity("Root", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "AKIA", "root", {})
    if kind is PrincipalKind.FEDERATED:
        arn = f"arn:aws:sts::{ACCOUNT}:federated-user/{name}"
        issuer = _issuer("IAMUser", f"arn:aws:iam::{ACCOUNT}:user/broker", "broker", "AIDA")
        return _identity("FederatedUser", f"{ACCOUNT}:{name}", arn, "ASIA", name, issuer)
    role, path, session = (
        (SSO_ROLE, SSO_PATH, name) if kind is PrincipalKind.SSO else (name, "", session)
    )
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"
    issuer = _issuer("Role", f"arn:aws:iam::{ACCOUNT}:role/{path}{role}", role, "AROA")
    return _identity("AssumedRole", f"AROA{_digits(role)}:{session}", arn, "ASIA", role, issuer)


def user_identity(name: str, account: str, access_key: str) -> dict[str, Any]:
    """Return the `userIdentity` of an IAM user with an access key."""
    return {
        "type": "IAMUser",
        "principalId": f"AIDA{_digits(name)}",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": access_key,
        "userName": name,
    }


def signed_in(user: dict[str, Any], since: str) -> dict[str, Any]:
    """Return the `userIdentity` of a user who signed in to the console with MFA.

    Args:
        user: `userIdentity` of the same user with an access key.
        since: Time of the sign-in, in the form of `eventTime`.
    """
    attributes = {"creationDate": since, "mfaAuthenticated": "true"}
    key = user["accessKeyId"].replace("AKIA", "ASIA", 1)
    return user | {"accessKeyId": key, "sessionContext": {"attributes": attributes}}


def issued_identity(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the `userIdentity` of calls with the credentials that an AssumeRole issued.

    Args:
        entry: Record of the AssumeRole.
    """
    response, role_arn = entry["responseElements"], entry["requestParameters"]["roleArn"]
    user = response["assumedRoleUser"]
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    issuer = {
        "type": "Role",
        "principalId": user["assumedRoleId"].partition(":")[0],
        "arn": role_arn,
        "accountId": account,
        "userName": name,
    }
    attributes = {"creationDate": entry["eventTime"], "mfaAuthenticated": "false"}
    context = {"sessionIssuer": issuer, "attributes": attributes}
    if source := response.get("sourceIdentity"):
        context["sourceIdentity"] = source
    return {
        "type": "AssumedRole",
        "principalId": user["assumedRoleId"],
        "arn": user["arn"],
        "accountId": account,
        "accessKeyId": response["credentials"]["accessKeyId"],
        "sessionContext": context,
    }


def service(name: str) -> dict[str, Any]:
    """Return the `userIdentity` of an AWS service; it has no ARN."""
    return {"type": "AWSService", "invokedBy": name}


def _identity(
    kind: str, principal_id: str, arn: str, key_prefix: str, name: str, extra: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": kind,
        "principalId": principal_id,
        "arn": arn,
        "accountId": ACCOUNT,
        "accessKeyId": f"{key_prefix}{_digits(name)}",
        **extra,
    }


def _issuer(kind: str, arn: str, name: str, prefix: str) -> dict[str, Any]:
    issuer = {
        "type": kind,
        "principalId": f"{prefix}{_digits(name)}",
        "arn": arn,
        "accountId": ACCOUNT,
        "userName": name,
    }
    attributes = {"creationDate": "2026-01-05T08:00:00Z", "mfaAuthenticated": "false"}
    return {"sessionContext": {"sessionIssuer": issuer, "attributes": attributes}}


def _digits(name: str) -> str:
    """Return 16 characters in the form of an AWS ID, which show the name of its owner."""
    plain = "".join(char for char in name.upper() if char.isalnum())
    return ("EXAMPLE" + plain)[:16].ljust(16, "0")
