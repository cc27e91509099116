from collections.abc import Mapping
from ipaddress import ip_address

# Where the actor's name is, by userIdentity.type
ACTOR_PATHS = {
    "Root": ("userIdentity", "userName"),
    "IAMUser": ("userIdentity", "userName"),
    "Directory": ("userIdentity", "userName"),
    "Unknown": ("userIdentity", "userName"),
    "SAMLUser": ("userIdentity", "userName"),
    "WebIdentityUser": ("userIdentity", "userName"),
    "AssumedRole": ("userIdentity", "sessionContext", "sessionIssuer", "userName"),
    "Role": ("userIdentity", "sessionContext", "sessionIssuer", "userName"),
    "FederatedUser": ("userIdentity", "sessionContext", "sessionIssuer", "userName"),
    "IdentityCenterUser": ("additionalEventData", "UserName"),
    "AWSService": ("userIdentity", "sourceIdentity"),
    "AWSAccount": ("userIdentity", "sourceIdentity"),
}


def get_actor_user(event):
    kind = _text(event, "userIdentity", "type")
    if kind == "Root":
        account = _text(event, "userIdentity", "accountId")
        return _text(event, *ACTOR_PATHS[kind]) or account or "UnknownRootUser"
    if kind in ACTOR_PATHS:
        name = _text(event, *ACTOR_PATHS[kind])
        if name.startswith("AWSReservedSSO_"):
            # AROAEXAMPLE:dana@example.com
            name = _text(event, "userIdentity", "principalId").partition(":")[2]
        return name or f"Unknown{kind}"
    if event.get("eventType") == "AwsServiceEvent":
        return _text(event, "userIdentity", "invokedBy") or "UnknownAwsServiceEvent"
    return "UnknownUser"


def get_event_type(event):
    name = event.get("eventName")
    if name == "ConsoleLogin" and _text(event, "userIdentity", "type") == "IAMUser":
        outcome = _text(event, "responseElements", "ConsoleLogin")
        return {"Failure": "failed_login", "Success": "successful_login"}.get(outcome)
    if name == "CreateUser":
        return "user_account_created"
    if name == "CreateAccountResult":
        return "account_created"
    return None


def load_ip_address(event):
    """Return the caller's address, or None for the host name that a call by an AWS service has."""
    address = _text(event, "sourceIPAddress")
    try:
        ip_address(address)
    except ValueError:
        return None
    return address


def _text(event, *path):
    # Only `get`: before panther_core 0.16.2, the event of a data model's method has no deep_get
    value = event
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
