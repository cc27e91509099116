"""CloudTrail in the schemas of other products, which are refused by name.

What they leave out or rename is what rules for AWS.CloudTrail read. A replay of them would find
nobody, so they are an error that says where the original is.
"""

from collections.abc import Collection

OCSF = (
    "Security Lake's schema (OCSF), which lacks what rules for AWS.CloudTrail read; use the "
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
    """Return what to use instead of a schema that cannot be read; "" for all others.

    Args:
        names: The names of its columns or keys, folded; nested ones with those around them.
    """
    if "classuid" in names and "eventname" not in names:
        return OCSF
    if any(name.startswith("awscloudtrail") for name in names):
        return ECS
    if {"eventname", "useridentitytype", "eventtypename"} <= set(names):
        return SENTINEL
    return ""
