"""Names in CloudTrail records, in AWS' own case.

Databases fold the case of names: Athena, Glue and Hive to lower case, Snowflake to upper case, dbt
and Steampipe to words with underscores. These lists restore folded names; in requests and
responses, the model of the called API does as well (see `api`).

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

import re
from functools import lru_cache

_FIELDS = """
eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent
errorCode errorMessage requestParameters responseElements additionalEventData requestID eventID
eventType apiVersion managementEvent readOnly resources recipientAccountId serviceEventDetails
sharedEventID vpcEndpointId vpcEndpointAccountId eventCategory addendum eventContext
sessionCredentialFromConsole edgeDeviceDetails tlsDetails
"""

_IDENTITY = """
type principalId arn accountId accessKeyId userName invokedBy invokedByDelegate inScopeOf
onBehalfOf userId identityStoreArn credentialId identityProvider sourceIdentity sessionContext
attributes mfaAuthenticated creationDate sessionIssuer webIdFederationData federatedProvider
ec2RoleDelivery assumedRoot signInSessionArn issuerType credentialsIssuedTo
"""

# Names in other objects: those that no API's model has, and those that content reads for any API
_OTHERS = """
tlsVersion cipherSuite clientProvidedHostHeader reason updatedFields originalRequestID
originalEventID requestContext tagContext resourceTags principalTags
roleArn roleName roleId roleSessionName durationSeconds externalId serialNumber principalArn
sAMLAssertionID providerId packedPolicySize assumedRoleUser assumedRoleId
subjectFromWebIdentityToken federatedUser federatedUserId credentials sessionToken expiration
policyDocument policyName policyArn assumeRolePolicyDocument permissionsBoundary groupName
instanceProfileName maxSessionDuration createDate path description tags key value items instanceId
instanceType imageId instancesSet groupSet groupId vpcId subnetId bucketName functionName keyId
kmsKeyId resourceArn
ConsoleLogin SwitchRole ExitRole GetSigninToken CredentialChallenge CheckMfa CredentialVerification
PasswordRecoveryRequested PasswordRecoveryCompleted
LoginTo MobileVersion MFAUsed MFAIdentifier MfaType SwitchFrom SwitchTo RedirectTo DisplayName
AuthWorkflowID CredentialType LoginAccountID identityProviderConnectionVerificationMethod
AuthenticationMethod SignatureVersion bytesTransferredIn bytesTransferredOut RequestDetails
endpointType awsServingRegion explicitTrustGrant passwordResetRequired
"""

# The fields that are objects or lists of objects
NESTED = frozenset(
    {
        "userIdentity",
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "resources",
        "serviceEventDetails",
        "addendum",
        "edgeDeviceDetails",
        "tlsDetails",
        "eventContext",
    }
)
BOOLEAN = frozenset({"managementEvent", "readOnly"})
ACCOUNTS = frozenset({"accountId", "recipientAccountId", "vpcEndpointAccountId"})

SIGNS = re.compile(r"[\W_]")


@lru_cache(10_000)
def folded(name: str) -> str:
    """Return a name in lower case, without spaces and punctuation."""
    return SIGNS.sub("", name).lower()


def is_folded(name: str) -> bool:
    """Return whether a query engine may have changed the case of a name."""
    return name.islower() or name.isupper()


TOP_LEVEL = {folded(name): name for name in _FIELDS.split()}
NAMES = {folded(name): name for name in f"{_OTHERS} {_IDENTITY} {_FIELDS}".split()}
