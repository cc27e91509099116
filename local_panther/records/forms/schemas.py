"""Refuses CloudTrail in the schemas of other products, by name.

They leave out or rename fields that rules for AWS.CloudTrail read, so that a replay would match
nothing. The error says where to find the original records.
"""

from collections.abc import Collection

OCSF = (
    "Security Lake's schema (OCSF), which lacks fields that rules for AWS.CloudTrail read; use the "
    "CloudTrail that the trail delivers to S3"
)
ECS = (
    "Elastic's schema (ECS) without event.original; use the CloudTrail that the trail delivers to "
    "S3, or turn on preserve_original_event in the integration"
)
SENTINEL = (
    "Microsoft Sentinel's table AWSCloudTrail, which lacks parts of a record; use the CloudTrail "
    "in the bucket that the connector reads"
)


def refusal(names: Collection[str]) -> str:
    """Return what to use instead of a schema that cannot be read; "" for all other schemas.

    Args:
        names: The folded names of its columns or keys; nested keys are prefixed by their parent.
    """
    if "classuid" in names and "eventname" not in names:
        return OCSF
    if any(name.startswith("awscloudtrail") for name in names):
        return ECS
    if {"eventname", "useridentitytype", "eventtypename"} <= set(names):
        return SENTINEL
    return ""
