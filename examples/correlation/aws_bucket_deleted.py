def rule(event):
    return event.get("eventName") == "DeleteBucket" and not event.get("errorCode")


def title(event):
    return f"{event.deep_get('userIdentity', 'arn')} deleted a bucket"
