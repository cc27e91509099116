"""Calls of an attacker with a gained session: it looks around, reads a secret and stays."""

import json
from collections.abc import Iterator
from typing import Any

from local_panther.simulate.identities import issued_identity, user_identity
from local_panther.simulate.shapes import Call, Record, Shapes
from local_panther.times import parse_time

FOLLOW_UP_SECONDS = 180  # from the AssumeRole to the last call
CREATED_USER = "svc-backup"  # user that gets an access key
NEXT_ROLE = "BackupAccessRole"  # role that the session assumes


def follow_up(shapes: Shapes, entry: Record) -> Iterator[Record]:
    """Yield the calls that follow an AssumeRole, in the order of their times.

    The session lists users and secrets, reads a secret, is denied to create a user, widens the
    permissions of its role, creates an access key and assumes another role. The key and the other
    session make calls too.

    Args:
        shapes: Builder of records.
        entry: Record of the AssumeRole.
    """
    session, time = issued_identity(entry), parse_time(entry["eventTime"]) or 0
    account, role = session["accountId"], session["sessionContext"]["sessionIssuer"]["userName"]

    def at(seconds: float, who: dict[str, Any] = session) -> Call:
        return Call(who, time + seconds, entry["sourceIPAddress"])

    listing, secret = {"maxResults": 100}, {"secretId": "prod/orders/database"}
    yield shapes.other(at(5), "sts", "GetCallerIdentity", None)
    yield shapes.other(at(20), "iam", "ListUsers", {"maxItems": 100})
    yield shapes.other(at(35), "secretsmanager", "ListSecrets", listing)
    yield shapes.other(at(50), "secretsmanager", "GetSecretValue", secret)
    user = f"arn:aws:iam::{account}:user/{CREATED_USER}-2"
    yield shapes.denied(at(70), "iam", "CreateUser", user)
    grant = {
        "roleName": role,
        "policyName": "access",
        "policyDocument": policy(Action="*", Resource="*"),
    }
    yield shapes.other(at(90), "iam", "PutRolePolicy", grant, read_only=False)
    created = shapes.created_access_key(at(110), CREATED_USER)
    yield created
    next_role = f"arn:aws:iam::{account}:role/{NEXT_ROLE}"
    source = session["sessionContext"].get("sourceIdentity", "")
    chained = shapes.assumed_role(at(130), next_role, "sync", source)
    yield chained
    yield shapes.other(at(150, issued_identity(chained)), "s3", "ListBuckets", None)
    key = created["responseElements"]["accessKey"]["accessKeyId"]
    who = user_identity(CREATED_USER, account, key)
    yield shapes.other(at(FOLLOW_UP_SECONDS, who), "sts", "GetCallerIdentity", None)


def policy(**statement: Any) -> str:
    """Return a policy with one Allow statement, as the JSON text in a request."""
    statements = [{"Effect": "Allow", **statement}]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
