"""One deployed stack: where its API is, which functions it has, and tokens for it. On the local AWS and on AWS."""

import dataclasses
import functools
import json
import os
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from emulator import REGION


class DeploymentError(Exception):
    """Says in one line what is wrong with the deployment."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """An AWS: with an endpoint the local one, without one the real one of the caller's own AWS settings."""

    endpoint: str | None

    def client(self, service: str) -> Any:
        if self.endpoint is None:
            return boto3.client(service)
        # Explicit test credentials: real ones never go to a local endpoint, and the caller's profile is not read.
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        config = botocore.config.Config(s3={"addressing_style": "path"}, ignore_configured_endpoint_urls=True)
        return session.client(service, endpoint_url=self.endpoint, config=config)


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A stack made from template.yaml."""

    connection: Connection
    stack: str

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        try:
            described = self.connection.client("cloudformation").describe_stacks(StackName=self.stack)
        except botocore.exceptions.ClientError as error:
            raise DeploymentError(f"stack {self.stack}: {error.response['Error']['Message']}") from error
        return {o["OutputKey"]: o["OutputValue"] for o in described["Stacks"][0].get("Outputs", [])}

    def parameters(self) -> dict[str, str]:
        """The stack's parameters as they are now."""
        described = self.connection.client("cloudformation").describe_stacks(StackName=self.stack)
        return {p["ParameterKey"]: p["ParameterValue"] for p in described["Stacks"][0].get("Parameters", [])}

    def url(self) -> str:
        """Base URL of the API, without a slash at the end."""
        if self.connection.endpoint is None:
            return self.outputs["ApiUrl"].rstrip("/")
        return f"{self.connection.endpoint}/_aws/execute-api/{self.outputs['ApiId']}/$default"

    def function_names(self) -> list[str]:
        pages = self.connection.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack)
        resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function"]

    def token(self, owner: str, scopes: list[str], days: int, subject: str = "operator") -> str:
        """Asks the IssueToken function, which only IAM callers can invoke, for a token."""
        request = {"owner": owner, "subject": subject, "scopes": scopes, "expires_in_days": days}
        answer = self.connection.client("lambda").invoke(
            FunctionName=self.outputs["IssueTokenFunctionName"], Payload=json.dumps(request).encode()
        )
        body = json.loads(answer["Payload"].read())
        if answer.get("FunctionError") or "token" not in body:
            raise DeploymentError(f"no token: {json.dumps(body)}")
        return body["token"]

    def environment(self) -> dict[str, str]:
        """What a command needs to use the deployment: the MILLRACE_… variables, and with the local AWS its settings."""
        variables = {
            "MILLRACE_URL": self.url(),
            "MILLRACE_TOKEN": self.token("default", ["admin"], days=1),
            "MILLRACE_OTHER_TOKEN": self.token("other", ["manage", "ingest", "read"], days=1, subject="other"),
            "MILLRACE_STACK": self.stack,
        }
        if self.connection.endpoint:
            variables["MILLRACE_AWS_ENDPOINT"] = self.connection.endpoint
        return os.environ | variables
