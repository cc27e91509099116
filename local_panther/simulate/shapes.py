"""Builds CloudTrail records about roles, in the shapes that AWS writes.

Fields and their order are those of recorded events: a denied call has null request parameters and
no resources, and only its error message names the role.
"""

import uuid
from dataclasses import dataclass
from random import Random
from typing import Any

from local_panther.simulate.identities import ACCOUNT, issued_identity
from local_panther.times import clock, event_time

IAM_REGION = "us-east-1"  # region of all IAM events, wherever the caller is
STS_REGION = "eu-west-1"
GENERATED_BY = "generated-by/local-panther-simulate"
USER_AGENT = f"aws-cli/2.17.32 {GENERATED_BY}"
KEY_LENGTH = 20
INTERNAL = "AWS Internal"  # address, user agent and service of calls that the console makes

Record = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """The caller, time and address of a call."""

    identity: dict[str, Any]
    time: float  # seconds since 1970
    address: str


class Shapes:
    """A builder of records, whose IDs come from a random generator, so that a seed repeats them."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def list_roles(self, call: Call) -> Record:
        """Return an allowed ListRoles call."""
        return self._record(call, "iam", "ListRoles", {"maxItems": 100}, read_only=True)

    def denied_assume_role(self, call: Call, role_arn: str) -> Record:
        """Return a denied AssumeRole call."""
        return self._denied(call, "sts", "AssumeRole", role_arn, "", read_only=True)

    def denied_trust_update(self, call: Call, role_name: str) -> Record:
        """Return a denied UpdateAssumeRolePolicy call."""
        reason = " because no identity-based policy allows the iam:UpdateAssumeRolePolicy action"
        return self._denied(call, "iam", "UpdateAssumeRolePolicy", f"role {role_name}", reason)

    def wrong_mfa_code(self, call: Call) -> Record:
        """Return an AssumeRole call with a wrong MFA code: its error names no role."""
        record = self._record(call, "sts", "AssumeRole", None, read_only=True)
        message = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
        return record | {"errorCode": "AccessDenied", "errorMessage": message}

    def denied(self, call: Call, service: str, name: str, resource: str) -> Record:
        """Return any other denied call that would change something.

        Args:
            call: Caller, time and address.
            service: Name of the service, without its domain.
            name: The eventName, which is also the name of the action.
            resource: Resource in the error message.
        """
        reason = f" because no identity-based policy allows the {service}:{name} action"
        return self._denied(call, service, name, resource, reason)

    def changed_trust(self, call: Call, role_name: str, document: str) -> Record:
        """Return a successful UpdateAssumeRolePolicy call.

        Args:
            call: Caller, time and address.
            role_name: Name of the role, which is in the caller's account.
            document: New trust policy, as JSON text.
        """
        parameters = {"roleName": role_name, "policyDocument": document}
        return self._record(call, "iam", "UpdateAssumeRolePolicy", parameters, read_only=False)

    def switched_role(self, call: Call, role_arn: str) -> tuple[Record, Record]:
        """Return the two records of a user's Switch role in the console.

        The AssumeRole comes from the console's own address; the SwitchRole of the same second is
        made by the new session and has the user's address.
        """
        user, arn = call.identity["userName"], call.identity["arn"]
        internal = Call(call.identity | {"invokedBy": INTERNAL}, call.time, INTERNAL)
        entry = self.assumed_role(internal, role_arn, user)
        entry["userAgent"] = f"{INTERNAL} {GENERATED_BY}"
        session = issued_identity(entry)
        del session["accessKeyId"], session["sessionContext"]
        switch = self.other(Call(session, call.time, call.address), "signin", "SwitchRole", None)
        switch["userAgent"] = f"Mozilla/5.0 {GENERATED_BY}"
        switch["responseElements"] = {"SwitchRole": "Success"}
        switch["additionalEventData"] = {
            "SwitchFrom": arn,
            "RedirectTo": "https://console.aws.amazon.com/console/home",
        }
        return entry, switch | {"eventType": "AwsConsoleSignIn", "awsRegion": IAM_REGION}

    def assumed_role(self, call: Call, role_arn: str, session: str, source: str = "") -> Record:
        """Return a successful AssumeRole call.

        Args:
            call: Caller, time and address.
            role_arn: ARN of the role.
            session: Name of the session.
            source: Source identity of the session; "" for none.
        """
        role_name = role_arn.rsplit("/", 1)[-1]
        account = role_arn.split(":")[4]
        record = self._record(
            call,
            "sts",
            "AssumeRole",
            {"roleArn": role_arn, "roleSessionName": session, "durationSeconds": 3600},
            read_only=True,
        )
        role_id = self._id("AROA")
        record["responseElements"] = {
            "credentials": {
                "accessKeyId": self._id("ASIA"),
                "sessionToken": "GENERATED",
                "expiration": _long_time(call.time + 3600),
            },
            "assumedRoleUser": {
                "assumedRoleId": f"{role_id}:{session}",
                "arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session}",
            },
        }
        if source:
            record["requestParameters"]["sourceIdentity"] = source
            record["responseElements"]["sourceIdentity"] = source
        record["resources"] = [{"accountId": account, "type": "AWS::IAM::Role", "ARN": role_arn}]
        return record

    def other(
        self,
        call: Call,
        service: str,
        name: str,
        parameters: dict[str, Any] | None,
        *,
        read_only: bool = True,
    ) -> Record:
        """Return any other successful call.

        Args:
            call: Caller, time and address.
            service: Name of the service, without its domain.
            name: The eventName.
            parameters: The requestParameters.
            read_only: False if the call changes something.
        """
        return self._record(call, service, name, parameters, read_only=read_only)

    def created_access_key(self, call: Call, user: str) -> Record:
        """Return a CreateAccessKey call for a user of the caller's account."""
        record = self.other(call, "iam", "CreateAccessKey", {"userName": user}, read_only=False)
        key = {
            "userName": user,
            "accessKeyId": self._id("AKIAEXAMPLE")[:KEY_LENGTH],
            "status": "Active",
            "createDate": clock(call.time, "%b %d, %Y %I:%M:%S %p"),
        }
        return record | {"responseElements": {"accessKey": key}}

    def failed(self, record: Record, code: str, message: str) -> Record:
        """Return a record with an error other than a denial, which keeps its parameters."""
        return record | {"errorCode": code, "errorMessage": message, "responseElements": None}

    def _denied(
        self,
        call: Call,
        service: str,
        name: str,
        resource: str,
        reason: str,
        *,
        read_only: bool = False,
    ) -> Record:
        record = self._record(call, service, name, None, read_only=read_only)
        record["errorCode"] = "AccessDenied"
        record["errorMessage"] = (
            f"User: {call.identity['arn']} is not authorized to perform: {service}:{name} "
            f"on resource: {resource}{reason}"
        )
        return dict(sorted(record.items()))

    def _record(
        self,
        call: Call,
        service: str,
        name: str,
        parameters: dict[str, Any] | None,
        *,
        read_only: bool,
    ) -> Record:
        region = IAM_REGION if service == "iam" else STS_REGION
        return {
            "eventVersion": "1.09",
            "userIdentity": call.identity,
            "eventTime": event_time(call.time),
            "eventSource": f"{service}.amazonaws.com",
            "eventName": name,
            "awsRegion": region,
            "sourceIPAddress": call.address,
            "userAgent": USER_AGENT,
            "requestParameters": parameters,
            "responseElements": None,
            "requestID": self._uuid(),
            "eventID": self._uuid(),
            "readOnly": read_only,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": call.identity.get("accountId", ACCOUNT),
            "eventCategory": "Management",
            "tlsDetails": {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": f"{service}.amazonaws.com",
            },
        }

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _id(self, prefix: str) -> str:
        return prefix + "".join(self._random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))


def _long_time(time: float) -> str:
    return clock(time, "%b %d, %Y, %I:%M:%S %p")
