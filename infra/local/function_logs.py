"""Reads the CloudWatch logs of a deployment's functions, in the order of time, and looks for what must not be in them."""

import collections.abc
import dataclasses
import re
import time
from typing import Any

import botocore.exceptions

from deployment import Deployment

POLL_SECONDS = 1.0
# Lines can arrive late; each poll looks back this far and skips what it has shown.
LOOK_BACK_MS = 10_000
# Three parts in base64url, of which the first begins as every JSON object does.
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of one function's log."""

    time_ms: int
    event_id: str
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.function}  {self.text}"


def lines(logs: Any, function: str, since_ms: int) -> collections.abc.Iterator[Line]:
    """Yields the lines of one function since then."""
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}", startTime=since_ms)
    try:
        for page in pages:
            for event in page["events"]:
                # The local AWS gives no ids; there a line is known by its stream and text.
                event_id = event.get("eventId") or f"{event.get('logStreamName')} {event['message']}"
                yield Line(event["timestamp"], event_id, function, event["message"].rstrip())
    except logs.exceptions.ResourceNotFoundException:
        return  # A function that was never invoked may have no log group yet.


def collect(deployment: Deployment, since_ms: int = 0) -> list[Line]:
    """Every line of every function since then, oldest first; lines of the same time stay in their function's order."""
    logs = deployment.connection.client("logs")
    found = [line for function in deployment.function_names() for line in lines(logs, function, since_ms)]
    return sorted(found, key=lambda line: line.time_ms)


def functions_that_leak(found: list[Line]) -> list[str]:
    """The functions in whose lines something looks like a token."""
    return sorted({line.function for line in found if TOKEN.search(line.text)})


def follow(deployment: Deployment) -> None:
    """Prints what is there, then what comes, until interrupted or until the deployment is gone."""
    shown: set[Line] = set()
    since_ms = 0
    while True:
        try:
            found = collect(deployment, since_ms)
        except botocore.exceptions.EndpointConnectionError:
            print("the local AWS has ended")
            return
        for line in found:
            if line not in shown:
                print(line, flush=True)
        shown = set(found)
        since_ms = int(time.time() * 1000) - LOOK_BACK_MS
        time.sleep(POLL_SECONDS)
