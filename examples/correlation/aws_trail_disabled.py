def rule(event):
    return event.get("eventName") in ("StopLogging", "DeleteTrail") and not event.get("errorCode")


def title(event):
    return f"{event.deep_get('userIdentity', 'arn')} disabled a trail"
