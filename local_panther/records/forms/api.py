"""Looks up the names of parameters and results of AWS' APIs, as CloudTrail writes them.

CloudTrail writes the names of an API's model with a lower-case first letter: RoleArn is roleArn,
and DBInstanceIdentifier is dBInstanceIdentifier. The models come with botocore.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

AWS_ENDINGS = (".amazonaws.com", ".amazonaws.com.cn")
VERSION_SUFFIX = re.compile(r"\d{4}_?\d\d_?\d\d(v\d)?$")  # CreateFunction20150331
# Models of services whose eventSource has another name
MODELS = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
    "sso": "sso-admin",
    "elasticfilesystem": "efs",
    "elasticmapreduce": "emr",
}


class Member(NamedTuple):
    """A parameter or result of an API call.

    Attributes:
        name: The name as CloudTrail writes it.
        is_scalar: True if it is a text or a number, False for an object or a list.
    """

    name: str
    is_scalar: bool


@lru_cache(1000)
def members(event_source: str, event_name: str) -> Mapping[str, Member]:
    """Return the parameters and results of an API call, at any depth, by their folded names.

    Args:
        event_source: For example iam.amazonaws.com.
        event_name: For example CreateRole.

    Returns:
        The members; empty for an API that botocore does not know.
    """
    service = event_source.partition(".amazonaws.com")[0]
    model = _model(MODELS.get(service, service))
    operation = model.get("operations", {}).get(VERSION_SUFFIX.sub("", event_name), {})
    shapes = model.get("shapes", {})
    found: dict[str, Member] = {}
    for side in ("input", "output"):
        for name, is_scalar in _walked(operation.get(side, {}).get("shape", ""), shapes):
            found.setdefault(name.lower(), Member(name[:1].lower() + name[1:], is_scalar))
    return found


def _walked(start: str, shapes: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    waiting, seen = [start], {start}
    for shape in waiting:
        described = shapes.get(shape, {})
        inner = dict(described.get("members", {}))
        parts = [described[key] for key in ("member", "key", "value") if key in described]
        for name, member in inner.items():
            is_scalar = shapes.get(member["shape"], {}).get("type") not in SHAPES_WITH_PARTS
            for own in {name, member.get("locationName", name)}:
                yield own, is_scalar
        for part in [*inner.values(), *parts]:
            if part["shape"] not in seen:
                seen.add(part["shape"])
                waiting.append(part["shape"])


SHAPES_WITH_PARTS = ("structure", "list", "map")


@cache
def _model(service: str) -> Mapping[str, Any]:
    from botocore.exceptions import BotoCoreError
    from botocore.loaders import Loader

    try:
        model: Mapping[str, Any] = Loader().load_service_model(service, "service-2")  # type: ignore[no-untyped-call]
    except (BotoCoreError, ValueError):
        return {}
    return model
