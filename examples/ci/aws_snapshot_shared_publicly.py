def rule(event):
    if event.get("errorCode"):
        return False
    added = event.deep_get(
        "requestParameters", "createVolumePermission", "add", "items", default=[]
    )
    return any(item.get("group") == "all" for item in added)


def title(event):
    snapshot = event.deep_get("requestParameters", "snapshotId")
    return f"{event.deep_get('userIdentity', 'arn')} shared {snapshot} with everyone"


def dedup(event):
    return event.deep_get("requestParameters", "snapshotId")
