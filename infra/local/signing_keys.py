"""The public signing keys of a deployment: which ones are believed, which one is in use, and how one is retired."""

import base64
import json

from deployment import Deployment, DeploymentError

PARTITION = "KEYS"
PREFIX = "KEY#"


def key_id(token: str) -> str:
    """Which key a token says it is signed with."""
    header = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]


def in_use(deployed: Deployment) -> str:
    """The key that signs now, as a new token tells; making one also publishes the key."""
    return key_id(deployed.token("default", ["read"], days=1))


def believed(deployed: Deployment) -> list[str]:
    """The keys whose tokens are accepted."""
    pages = deployed.connection.client("dynamodb").get_paginator("query").paginate(
        TableName=deployed.outputs["TableName"],
        KeyConditionExpression="pk = :keys",
        ExpressionAttributeValues={":keys": {"S": PARTITION}},
        ConsistentRead=True,
    )
    return [item["sk"]["S"].removeprefix(PREFIX) for page in pages for item in page["Items"]]


def retire(deployed: Deployment, kid: str) -> None:
    """Takes a key out of those that are believed; every function has noticed within a minute."""
    used = in_use(deployed)
    if kid == used:
        raise DeploymentError(f"{kid} is in use: deploy with another SigningKeySlot first")
    known = believed(deployed)
    if kid not in known:
        raise DeploymentError(f"no key '{kid}'; there are: {', '.join(f'{k} (in use)' if k == used else k for k in known)}")
    deployed.connection.client("dynamodb").delete_item(
        TableName=deployed.outputs["TableName"], Key={"pk": {"S": PARTITION}, "sk": {"S": PREFIX + kid}}
    )
