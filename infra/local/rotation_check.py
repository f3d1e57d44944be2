"""Checks that the signing key can be replaced while the deployment is in use, in the way that docs/operations.md describes.

Runs within `main.py ephemeral`, whose deployment signs with slot a. Every step is printed with the seconds since the start; the first
surprise ends it with exit code 1.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions

import deploy
import signing_keys
from api import Api, ApiError
from deployment import Connection, Deployment, DeploymentError

STARTED = time.monotonic()
# A function that has just looked for keys looks again for an unknown one after 10 seconds at the latest.
NEW_KEY_SECONDS = 15.0
RETIRED_KEY_SECONDS = 70.0


class Surprise(Exception):
    """Says in one line what is not as it should be."""


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


def expect(what: str, got: Any, wanted: Any) -> None:
    if got != wanted:
        raise Surprise(f"{what}: expected {wanted}, got {got}")


def expect_within(seconds: float, what: str, wanted: int, read: Callable[[], int]) -> None:
    """Reads until it is as wanted."""
    began = time.monotonic()
    while (got := read()) != wanted:
        if time.monotonic() - began > seconds:
            raise Surprise(f"{what}: expected {wanted} within {seconds:.0f} s, got {got}")
        time.sleep(0.5)
    say(f"{what}: {wanted}, after {time.monotonic() - began:.1f} s")


def expect_refusal(deployed: Deployment, kid: str, reason: str) -> None:
    try:
        signing_keys.retire(deployed, kid)
    except DeploymentError as error:
        if reason not in str(error):
            raise
        say(f"retire-key refuses: {error}")
        return
    raise Surprise(f"{kid} could be retired")


def streams(deployed: Deployment, token: str) -> int:
    """The status that a request with this token is answered with."""
    return Api(deployed.url(), token).call("GET", "/streams").status


def published(deployed: Deployment) -> set[str]:
    keys = Api(deployed.url(), token=None).expect("GET", "/.well-known/jwks.json")["keys"]
    return {key["kid"] for key in keys}


def key_of_an_api_keys_token(api: Api) -> str:
    made = api.expect("POST", "/api-keys", {"name": "rotation check", "scopes": ["manage"]})
    token = api.expect("POST", f"/api-keys/{made['id']}/tokens", {"expires_in_days": 1})["token"]
    return signing_keys.key_id(token)


def run(connection: Connection, stack: str) -> None:
    before = Deployment(connection, stack)
    expect("slot", before.parameters()["SigningKeySlot"], "a")
    first_token = before.token("default", ["admin"], days=1)
    first = signing_keys.key_id(first_token)
    expect("the first token", streams(before, first_token), 200)
    say(f"the first token, of key {first}: 200")
    expect_refusal(before, first, "is in use")
    expect_refusal(before, "no-such-key", first)

    deploy.deploy(connection, stack, deploy.BINARIES, before.parameters() | {"SigningKeySlot": "b"})
    after = Deployment(connection, stack)
    say("deployed with slot b")
    described = connection.client("kms").describe_key(KeyId=before.outputs["SigningKeyId"])
    expect("the first KMS key", described["KeyMetadata"]["KeyState"], "PendingDeletion")
    expect("the first token", streams(after, first_token), 200)
    second_token = after.token("default", ["admin"], days=1)
    second = signing_keys.key_id(second_token)
    if second == first:
        raise Surprise(f"the second token is still signed with {first}")
    say(f"the first token: still 200; the first KMS key is about to be deleted; new tokens are of key {second}")
    expect_within(NEW_KEY_SECONDS, "the second token", 200, lambda: streams(after, second_token))
    expect("the first token", streams(after, first_token), 200)
    expect("the key of an API key's token", key_of_an_api_keys_token(Api(after.url(), second_token)), second)
    expect("the published keys", published(after), {first, second})
    say("an API key's token is of the new key too; jwks.json lists both keys; the first token: still 200")

    expect_refusal(after, second, "is in use")
    signing_keys.retire(after, first)
    say("retired the first key")

    def first_token_while_the_second_works() -> int:
        expect("the second token", streams(after, second_token), 200)
        return streams(after, first_token)

    expect_within(RETIRED_KEY_SECONDS, "the first token", 401, first_token_while_the_second_works)
    expect("the second token", streams(after, second_token), 200)
    say("the second token: 200 all the time")


def main() -> int:
    try:
        run(Connection(os.environ["MILLRACE_AWS_ENDPOINT"]), os.environ["MILLRACE_STACK"])
    except KeyError as error:
        print(f"rotation check: {error} is missing; it runs within `main.py ephemeral`, as `make test` does", file=sys.stderr)
        return 1
    except (Surprise, ApiError, DeploymentError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"rotation check: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
