"""Decides whether the ARN of an IAM role can equal, start with, end with or contain a text.

`arn:<partition>:iam::<account>:role/<path/><name>`: no region, 12 digits, names of up to 64
characters, paths of up to 512 with the slashes around them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

Part = Literal["whole", "start", "end", "inside"]

NAME = "[A-Za-z0-9_+=,.@-]"
PATH = "[!-~]"
PLAIN_PATH = "[!-9;-~]"  # without a colon
# Patterns of the text after "role/": the whole of it, its beginning, its end, or any part
TAILS = {
    "whole": f"(?:{PATH}{{1,510}}/)?{NAME}{{1,64}}",
    "start": f"(?:{PATH}{{1,510}}/)?{NAME}{{0,64}}|{PATH}{{0,511}}",
    "end": f"(?:PATH{{0,510}}/)?{NAME}{{1,64}}",
    "inside": f"(?:PATH{{0,510}}/)?{NAME}{{0,64}}|PATH{{0,511}}",
}
# AWS allows colons in paths, but a text that contains one of these means other parts of an ARN.
RESOURCES = (
    "assumed-role|federated-user|group|instance-profile|oidc-provider|policy|saml-provider|user"
)
ARN_PARTS = re.compile(rf"arn:|::|:role/|:(?:{RESOURCES})/")
DIGIT = "0"  # stands for any digit in the heads of `_heads`
SESSION = re.compile(r"arn:([^:]*):sts::([^:]*):assumed-role/([^/]+)")
EXAMPLE = "arn:aws:iam::123456789012:role/path/name"
PLACES = {"whole": "is", "start": "starts with", "end": "ends with", "inside": "contains"}


def why_never(text: str, part: Part) -> str | None:
    """Return why no role's ARN has a text as the given part; None if one can.

    Args:
        text: The text that an ARN is compared with, character by character.
        part: The part of the ARN that must equal the text.

    Returns:
        The reason and what to write instead, as a clause.
    """
    if _can_be(text, part):
        return None
    begins = text.find("arn:")
    fault = None
    if begins >= 0 and (begins == 0 or part in ("end", "inside")):
        fault = _fault(text[begins:], is_complete=part in ("whole", "end"))
    return fault or f"no role's ARN {PLACES[part]} it; an example is {EXAMPLE}"


def _can_be(text: str, part: Part) -> bool:
    at_start, at_end = part in ("whole", "start"), part in ("whole", "end")
    for head in _heads():
        for place in (0,) if at_start else range(len(head)):
            left = head[place:]
            if not _fits(text[: len(left)], left):
                continue
            if len(text) < len(left):  # the text ends inside the head
                if not at_end:
                    return True
            elif re.fullmatch(TAILS["whole" if at_end else "start"], text[len(left) :]):
                return True
    if at_start:
        return False
    path = PLAIN_PATH if ARN_PARTS.search(text) else PATH
    return re.fullmatch(TAILS[part].replace("PATH", path), text) is not None


def _heads() -> Iterator[str]:
    """Yield the head of a role's ARN, up to the path, for each partition."""
    for partition in partitions():
        yield f"arn:{partition}:iam::{DIGIT * 12}:role/"


def _fits(text: str, head: str) -> bool:
    return all(
        char in "0123456789" if wanted == DIGIT else char == wanted
        for char, wanted in zip(text, head, strict=False)
    )


@cache
def partitions() -> tuple[str, ...]:
    """Return the partitions of AWS that the installed SDK knows, such as aws and aws-us-gov."""
    from botocore.loaders import Loader

    known = Loader().load_data("partitions")  # type: ignore[no-untyped-call]
    return tuple(entry["id"] for entry in known["partitions"])


def _fault(arn: str, *, is_complete: bool) -> str | None:
    """Return which part of an ARN cannot be that of a role, and what it should be."""
    session = SESSION.match(arn)
    if session:
        partition, account, name = session.groups()
        role = f"arn:{partition}:iam::{account}:role/{name}"
        return f"it is the ARN of a role's session; write that of the role, {role}, with any path"
    parts = arn.split(":", 5)
    for index, part in enumerate(parts[1:], start=1):
        is_whole = is_complete or index < len(parts) - 1
        fault = _part_fault(index, part, is_whole=is_whole)
        if fault:
            return fault
    return f"it is not complete; write {EXAMPLE}" if len(parts) < 6 else None


def _part_fault(index: int, part: str, *, is_whole: bool) -> str | None:
    def can_be(*wanted: str) -> bool:
        return part in wanted if is_whole else any(text.startswith(part) for text in wanted)

    match index:
        case 1 if not can_be(*partitions()):
            return f"{part!r} is not an AWS partition; those are {', '.join(partitions())}"
        case 2 if not can_be("iam"):
            return f"the service in a role's ARN is iam, not {part!r}"
        case 3 if part:
            return f"a role's ARN has no region; leave out {part!r}, as in arn:aws:iam::"
        case 4:
            return _account_fault(part, is_whole=is_whole)
        case 5:
            return _resource_fault(part, is_whole=is_whole)
    return None


def _account_fault(account: str, *, is_whole: bool) -> str | None:
    if not re.fullmatch("[0-9]*", account):
        return f"{account!r} is not an account ID of 12 digits"
    if len(account) > 12 or (is_whole and len(account) < 12):
        return f"account IDs have 12 digits, but {account!r} has {len(account)}"
    return None


def _resource_fault(resource: str, *, is_whole: bool) -> str | None:
    kind, slash, rest = resource.partition("/")
    if kind != "role" and (slash or is_whole or not "role".startswith(kind)):
        return f"it names {resource!r}, not a role; write the ARN of a role, such as {EXAMPLE}"
    name = rest.rpartition("/")[2]
    wrong = re.sub(f"{NAME}|/", "", name if is_whole else "")
    if wrong:
        return f"role names cannot contain {wrong[0]!r}, only letters, digits and _+=,.@-"
    if is_whole and not name:
        return "the name of the role is missing"
    if len(name) > 64:
        return f"role names have at most 64 characters, but {name!r} has {len(name)}"
    return None
