# These sign in with a password at AWS. Federated people do it at their identity provider, which
# asks for the second factor: CloudTrail then says "No" whatever the provider has done.
PASSWORD_TYPES = {"IAMUser", "Root"}


def rule(event):
    return (
        event.deep_get("responseElements", "ConsoleLogin") == "Success"
        and event.deep_get("additionalEventData", "MFAUsed") == "No"
        and event.deep_get("userIdentity", "type") in PASSWORD_TYPES
    )


def title(event):
    return (
        f"{_name(event)} signed in to the console of {event.get('recipientAccountId')} without MFA"
    )


def dedup(event):
    return f"{event.get('recipientAccountId')} {_name(event)}"


def severity(event):
    return "CRITICAL" if _is_root(event) else "DEFAULT"


def alert_context(event):
    return {
        "user": _name(event),
        "sourceIPAddress": event.get("sourceIPAddress"),
        "userAgent": event.get("userAgent"),
    }


def _name(event):
    return "root" if _is_root(event) else event.deep_get("userIdentity", "userName")


def _is_root(event):
    return event.deep_get("userIdentity", "type") == "Root"
