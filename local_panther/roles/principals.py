"""Names of principals: one name for all calls of a person or workload, and a readable form of it.

Field reference:
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from local_panther.roles.settings import RoleSettings
from local_panther.text import text_of

# Prefixes of principals without an ARN of their own, and what follows each
IDENTITY_CENTER = "identity-center:"  # the person's name
WEB_IDENTITY = "web-identity:"  # the OpenID Connect provider and the subject's name
SAML = "saml:"  # the provider and the person's name
ROLES_ANYWHERE = "roles-anywhere:"  # the name of the certificate
OTHER_ACCOUNT = "other-account:"  # the account and the principal's ID
# An account's provider by its ARN, or a public one by a name without colons; then a name
PROVIDED = re.compile(
    r"(?:arn:[a-z0-9-]+:iam::(?P<account>[0-9]{12}):(?:oidc|saml)-provider/)?"
    r"(?P<provider>[^:]*):(?P<name>.*)",
    re.DOTALL,
)

ASSUMED_ROLE_ARN = re.compile(r"(arn:[a-z0-9-]+):sts::([0-9]{12}):assumed-role/([^/\s]+)/(\S+)")
# Only IAM Identity Center can create roles with this path; its session names are names of persons.
IDENTITY_CENTER_ROLE = re.compile(
    r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/aws-reserved/sso\.amazonaws\.com/\S+"
)
ARN = re.compile(r"arn:[a-z0-9-]+:(?:iam|sts)::([0-9]{12}):([a-z-]+)(?:/(\S+))?")
KINDS = {
    "user": "IAM user",
    "role": "role",
    "root": "root user",
    "federated-user": "federated user",
    "assumed-role": "role session",
}
# By the type of userIdentity
KINDS_OF_IDENTITY = {
    "IAMUser": "IAM user",
    "AssumedRole": "role session",
    "Root": "root user",
    "FederatedUser": "federated user",
    "WebIdentityUser": "OpenID Connect",
    "SAMLUser": "SAML",
    "AWSAccount": "principal of another account",
    "IdentityCenterUser": "Identity Center user",
}
WITHOUT_ARN = ("invokedBy", "userName", "principalId", "accountId")


def principal_of(identity: Any, settings: RoleSettings) -> str:
    """Return the principal that made a call, as one name for all calls of a person or workload.

    - A session of a role: the role's ARN, since the caller picks the session name; the session's
      ARN if the settings say that each session is a person.
    - A person of IAM Identity Center: "identity-center:" and the session name, which is the same in
      every account and permission set.
    - A caller of OpenID Connect: "web-identity:", the provider and the name.
    - Any other caller: its ARN, or without one the first other name in the record, such as that of
      a service.

    Args:
        identity: The `userIdentity` of a record, of any shape.
        settings: Settings that say which sessions are one principal.

    Returns:
        The name; "" if the record has none.
    """
    if not isinstance(identity, Mapping):
        return ""
    if is_web_identity(identity):
        names = (text_of(identity.get(key)) for key in ("identityProvider", "userName"))
        return WEB_IDENTITY + ":".join(names)
    arn = text_of(identity.get("arn"))
    if not arn or identity.get("type") == "AWSService":
        return next(filter(None, (text_of(identity.get(key)) for key in WITHOUT_ARN)), "")
    if not settings.collapse_sessions or identity.get("type") != "AssumedRole":
        return arn
    session = ASSUMED_ROLE_ARN.fullmatch(arn)
    issuer = _issuer(identity)
    if session and IDENTITY_CENTER_ROLE.fullmatch(issuer):
        return IDENTITY_CENTER + session[4]
    name = session[3] if session else issuer.rsplit("/", 1)[-1]
    if name.startswith(settings.person_role_prefixes):
        return arn
    return issuer or (role_of_session(arn) if session else arn)


def is_web_identity(identity: Mapping[str, Any]) -> bool:
    """Return whether a caller of OpenID Connect has both a provider and a name."""
    names = (text_of(identity.get(key)) for key in ("identityProvider", "userName"))
    return identity.get("type") == "WebIdentityUser" and all(names)


def role_of_session(arn: str) -> str:
    """Return the ARN of the role of an assumed-role ARN; any other name unchanged."""
    session = ASSUMED_ROLE_ARN.fullmatch(arn)
    return f"{session[1]}:iam::{session[2]}:role/{session[3]}" if session else arn


def session_of(arn: str) -> str:
    """Return the session's name in an assumed-role ARN; "" for any other."""
    session = ASSUMED_ROLE_ARN.fullmatch(arn)
    return session[4] if session else ""


def described(principal: str) -> str:
    """Return a principal in its readable form, such as "mallory (IAM user, 123456789012)"."""
    if principal.startswith(IDENTITY_CENTER):
        return f"{principal.removeprefix(IDENTITY_CENTER)} (Identity Center)"
    if principal.startswith(ROLES_ANYWHERE):
        return f"{principal.removeprefix(ROLES_ANYWHERE) or 'certificate'} (Roles Anywhere)"
    if principal.startswith(OTHER_ACCOUNT):
        account, _, name = principal.removeprefix(OTHER_ACCOUNT).partition(":")
        return f"{name or 'principal'} (another account, {account})"
    for prefix, kind in ((WEB_IDENTITY, ""), (SAML, "SAML")):
        provided = PROVIDED.fullmatch(principal.removeprefix(prefix))
        if principal.startswith(prefix) and provided:
            known = filter(None, (kind, provided["provider"], provided["account"]))
            return f"{provided['name']} ({', '.join(known)})"
    found = ARN.fullmatch(principal)
    if not found or found[2] not in KINDS:
        return principal
    name = found[3] or found[2]
    if found[2] in ("user", "role"):
        name = name.rsplit("/", 1)[-1]  # without its path
    return f"{name} ({KINDS[found[2]]}, {found[1]})"


def names_apart(principals: Iterable[str]) -> dict[str, str]:
    """Return each principal's readable form, or its full name if several have the same form."""
    names = {principal: described(principal) for principal in principals}
    counts = Counter(names.values())
    return {who: name if counts[name] == 1 else who for who, name in names.items()}


def _issuer(identity: Mapping[str, Any]) -> str:
    context = identity.get("sessionContext")
    issuer = context.get("sessionIssuer") if isinstance(context, Mapping) else None
    return text_of(issuer.get("arn")) if isinstance(issuer, Mapping) else ""
