"""The shapes of CloudTrail records about roles.

The fields and their order are those of recorded events: a denied call has null request parameters
and no resources, and only its error message names the role.
"""

import uuid
from dataclasses import dataclass
from random import Random
from typing import Any

from local_panther.times import clock, event_time

ACCOUNT = "123456789012"
IAM_REGION = "us-east-1"  # IAM records its events there, wherever the caller is
STS_REGION = "eu-west-1"
USER_AGENT = "aws-cli/2.17.32 generated-by/local-panther-simulate"

Record = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """What every record has in common: who called, when, from where."""

    identity: dict[str, Any]
    time: float  # seconds since 1970
    address: str


class Shapes:
    """Builds records. Their IDs come from the random generator, so that a seed repeats them."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def list_roles(self, call: Call) -> Record:
        """Return a ListRoles call that is allowed."""
        return self._record(call, "iam", "ListRoles", {"maxItems": 100}, read_only=True)

    def denied_assume_role(self, call: Call, role_arn: str) -> Record:
        """Return an AssumeRole call that is denied."""
        return self._denied(call, "sts", "AssumeRole", role_arn, "", read_only=True)

    def denied_trust_update(self, call: Call, role_name: str) -> Record:
        """Return an UpdateAssumeRolePolicy call that is denied."""
        reason = " because no identity-based policy allows the iam:UpdateAssumeRolePolicy action"
        return self._denied(call, "iam", "UpdateAssumeRolePolicy", f"role {role_name}", reason)

    def assumed_role(self, call: Call, role_arn: str, session: str) -> Record:
        """Return an AssumeRole call that succeeds."""
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
        record["resources"] = [{"accountId": account, "type": "AWS::IAM::Role", "ARN": role_arn}]
        return record

    def ordinary(
        self, call: Call, service: str, name: str, parameters: dict[str, Any] | None, region: str
    ) -> Record:
        """Return any other call that succeeds."""
        record = self._record(call, service, name, parameters, read_only=True)
        return record | {"awsRegion": region}

    def failed(self, record: Record, code: str, message: str) -> Record:
        """Return a record with an error that is not a denial: its parameters stay."""
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
            "recipientAccountId": ACCOUNT,
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
