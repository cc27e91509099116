"""The one user of a local instance, with its one role and its one token."""

import uuid
from typing import Any

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "local-panther")
PERMISSIONS = [
    "AlertModify",
    "AlertRead",
    "BulkUpload",
    "BulkUploadValidate",
    "DataAnalyticsRead",
    "GeneralSettingsRead",
    "LogSourceRead",
    "OrganizationAPITokenRead",
    "PolicyModify",
    "PolicyRead",
    "RuleModify",
    "RuleRead",
    "SummaryRead",
    "UserRead",
]
SINCE = "2026-01-01T00:00:00Z"
ROLE: dict[str, Any] = {
    "id": str(uuid.uuid5(NAMESPACE, "role")),
    "name": "Admin",
    "permissions": PERMISSIONS,
    "logTypeAccess": [],
    "logTypeAccessKind": "ALLOW_ALL",
    "createdAt": SINCE,
    "updatedAt": SINCE,
}
USER: dict[str, Any] = {
    "id": str(uuid.uuid5(NAMESPACE, "user")),
    "email": "analyst@localhost",
    "givenName": "Local",
    "familyName": "Analyst",
    "role": {"id": ROLE["id"], "name": ROLE["name"]},
    "enabled": True,
    "status": "CONFIRMED",
    "createdAt": SINCE,
}
USER_ACTOR = {"id": USER["id"], "type": "user"}
TOKEN: dict[str, Any] = {
    "id": str(uuid.uuid5(NAMESPACE, "token")),
    "name": "the token of this server",
    "permissions": PERMISSIONS,
    "createdAt": SINCE,
    "createdBy": USER_ACTOR,
}
