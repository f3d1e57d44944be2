#!/usr/bin/env python3
"""Sends a week of real earthquakes through a running Millrace and compares what went in with what came out.

It creates a stream with an S3 sink, sends every event of tests/fixtures/earthquakes.ndjson, waits for the events in
S3, reads them back from the history, and prints four numbers: sent, accepted, in S3, in history. They are counted by
event id and must be the same ids, or the exit code is 1. Works the same on the local AWS and on AWS.

Settings are flags or environment variables (`make demo` provides them):
    --url           MILLRACE_URL           base URL of the API
    --token         MILLRACE_TOKEN         a token with the scopes manage, ingest and read
    --stack         MILLRACE_STACK         name of the deployment's CloudFormation stack; its output names the bucket
    --aws-endpoint  MILLRACE_AWS_ENDPOINT  endpoint of the local AWS; unset on AWS
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import gzip
import itertools
import json
import os
import pathlib
import secrets
import shlex
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

try:
    import botocore.exceptions

    from api import Answer, Api, ApiError
    from deployment import Connection, Deployment, DeploymentError
except ImportError:
    sys.exit("the Python package boto3 is missing: use `make demo`, which runs this in the project's own environment")

EVENTS_FILE = pathlib.Path(__file__).parents[2] / "tests" / "fixtures" / "earthquakes.ndjson"
VERSION = "1"
BATCH_SIZE = 100
HISTORY_PAGE_SIZE = 1000
SEND_ATTEMPTS = 8
S3_READERS = 10  # as many as an AWS client keeps connections

Event = dict[str, Any]
Ids = collections.Counter[str]


class DemoError(Exception):
    """Ends the demo with one line for the reader."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds. AWS builds stacks for minutes and buffers what it writes; locally neither is so."""

    stack: float
    s3_total: float
    s3_quiet: float  # after the first object: this long without a new one means that S3 has stopped growing


ON_AWS = Patience(stack=900, s3_total=900, s3_quiet=180)
LOCALLY = Patience(stack=60, s3_total=90, s3_quiet=15)


class Progress:
    """One line that is redrawn on a terminal, and printed once elsewhere."""

    WIDTH = 30

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.live = sys.stdout.isatty()

    def show(self, done: int, note: str = "") -> None:
        if self.live:
            print(f"\r{self._line(done, note)}\033[K", end="", flush=True)

    def finish(self, done: int, note: str = "") -> None:
        self.show(done, note)
        print("" if self.live else self._line(done, note), flush=True)

    def _line(self, done: int, note: str) -> str:
        filled = self.WIDTH * min(done, self.total) // max(self.total, 1)
        return f"{self.label:<10} [{'#' * filled}{'.' * (self.WIDTH - filled)}] {done}/{self.total}  {note}".rstrip()


class Bucket:
    """The objects of one stream in the data bucket."""

    def __init__(self, deployment: Deployment, prefix: str) -> None:
        self.prefix = prefix
        self.name = deployment.outputs["DataBucketName"]
        self.s3 = deployment.connection.client("s3")

    def keys(self) -> Iterator[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix)
        return (item["Key"] for page in pages for item in page.get("Contents", []))

    def ids(self, key: str) -> list[str]:
        """Reads the event ids of one object: one JSON event a line, in gzip or plain whatever its name says."""
        data = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        try:
            return [json.loads(line)["id"] for line in data.splitlines() if line.strip()]
        except (ValueError, KeyError, TypeError) as error:
            raise DemoError(f"s3://{self.name}/{key} is not one event with an id a line: {error!r}") from error


@dataclasses.dataclass
class Sending:
    """What came of sending: accepted event ids, events that were sent more than once, and reasons for refusals."""

    accepted: Ids = dataclasses.field(default_factory=collections.Counter)
    sent_again: int = 0
    refused: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0


def wait_until_active(api: Api, path: str, seconds: float) -> None:
    started = time.monotonic()
    while (body := api.expect("GET", path)).get("status") != "ACTIVE":
        if body.get("status") == "OPERATION_FAILED":
            raise DemoError(f"{path} failed: {json.dumps(body)}")
        if time.monotonic() - started > seconds:
            raise DemoError(f"{path} is still {body.get('status')} after {seconds:.0f} s")
        time.sleep(0.5)
    print(f"           ACTIVE after {time.monotonic() - started:.1f} s", flush=True)


def create_stream(api: Api, path: str, patience: Patience) -> None:
    print(f"creating   {path.removeprefix('/streams/')}", flush=True)
    document = {"name": "Earthquakes (demo)", "access_rights": "public", "input": {"timestamp": "$.time"}}
    answer = api.call("POST", path, document)
    if answer.status != 201:
        hint = ": is Millrace deployed there? `make run` deploys it" if answer.status == 404 else ""
        raise DemoError(f"POST {path} answered {answer.problem()}{hint}")
    wait_until_active(api, path, patience.stack)
    print("enabling   the S3 sink", flush=True)
    api.expect("POST", f"{path}/sinks", {"type": "s3"})
    wait_until_active(api, f"{path}/sinks/s3", patience.stack)


def pause_before_retry(answer: Answer, attempt: int) -> float:
    """Follows Retry-After when it is a number of seconds, else backs off."""
    asked = answer.retry_after or ""
    return min(float(asked), 30.0) if asked.isdigit() else min(0.5 * 2**attempt, 10.0)


def send_batch(api: Api, path: str, batch: list[Event], sending: Sending) -> None:
    """Sends one batch, and again those of its events that are to be retried."""
    waiting = batch
    for attempt in range(SEND_ATTEMPTS):
        answer = api.call("POST", f"{path}/events", waiting)
        results = answer.body.get("results") if isinstance(answer.body, dict) else None
        if results is None and answer.status not in (429, 503, 504):
            raise DemoError(f"POST {path}/events answered {answer.problem()}")
        if results is not None and [r.get("index") for r in results] != list(range(len(waiting))):
            raise DemoError(f"POST {path}/events: expected one result for each of {len(waiting)} events, in order")
        again = []
        for event, result in zip(waiting, results or itertools.repeat({"status": "retry"}), strict=False):
            if result["status"] == "accepted":
                sending.accepted[event["id"]] += 1
            elif result["status"] == "retry":
                again.append(event)
            else:
                sending.refused.append(f"{event['id']} {json.dumps(result)}")
        if not again:
            return
        waiting = again
        if attempt + 1 < SEND_ATTEMPTS:
            sending.sent_again += len(again)
            time.sleep(pause_before_retry(answer, attempt))
    sending.refused.extend(f"{event['id']} still to be retried: {answer.problem()}" for event in waiting)


def send(api: Api, path: str, events: list[Event]) -> Sending:
    sending, progress, started = Sending(), Progress("sending", len(events)), time.monotonic()
    for start in range(0, len(events), BATCH_SIZE):
        batch = events[start : start + BATCH_SIZE]
        send_batch(api, path, batch, sending)
        done, sending.seconds = start + len(batch), time.monotonic() - started
        progress.show(done, f"{done / sending.seconds:.0f} events/s")
    progress.finish(len(events), f"{len(events) / sending.seconds:.0f} events/s")
    return sending


def collect_from_s3(bucket: Bucket, wanted: set[str], patience: Patience) -> Ids:
    """Reads new objects until every wanted id is there, S3 has stopped growing, or time is up."""
    ids: Ids = collections.Counter()
    read: set[str] = set()
    progress, started = Progress("in S3", len(wanted)), time.monotonic()
    grew = started
    with concurrent.futures.ThreadPoolExecutor(S3_READERS) as readers:
        while True:
            new = [key for key in bucket.keys() if key not in read]
            for of_object in readers.map(bucket.ids, new):
                ids.update(of_object)
                progress.show(len(ids), f"{time.monotonic() - started:.0f} s")
            read.update(new)
            now = time.monotonic()
            grew = now if new else grew
            quiet = bool(read) and now - grew > patience.s3_quiet
            if wanted <= ids.keys() or quiet or now - started > patience.s3_total:
                break
            progress.show(len(ids), f"{now - started:.0f} s")
            time.sleep(1)
    progress.finish(len(ids), f"{len(read)} objects, {time.monotonic() - started:.0f} s")
    return ids


def read_history(api: Api, path: str, first_day: str, last_day: str, expected: int) -> Ids:
    ids: Ids = collections.Counter()
    progress = Progress("history", expected)
    for page in itertools.count(1):
        query = {"from_date": first_day, "to_date": last_day, "page": page, "page_size": HISTORY_PAGE_SIZE}
        body = api.expect("GET", f"{path}/events?{urllib.parse.urlencode(query)}")
        ids.update(event["id"] for event in body["values"])
        progress.show(len(ids), f"page {page} of {body['total_pages']}")
        if page >= body["total_pages"]:
            break
    progress.finish(len(ids), f"{page} pages, {first_day} to {last_day}")
    return ids


def first_ten(ids: set[str]) -> str:
    return ", ".join(sorted(ids)[:10]) + (", …" if len(ids) > 10 else "")


def report(sent: set[str], sending: Sending, in_s3: Ids, history: Ids) -> bool:
    """Prints the table and what is missing where. True when all four are the same ids."""
    counted = {"accepted": sending.accepted, "in S3": in_s3, "in history": history}
    print(f"\n{'sent':<11}{len(sent):>6}   {sending.sent_again} sent again")
    for label, ids in counted.items():
        print(f"{label:<11}{len(ids):>6}   {ids.total() - len(ids)} duplicates")
    print()
    for label, ids in counted.items():
        if missing := sent - ids.keys():
            print(f"{len(missing)} events are not {label}: {first_ten(missing)}")
        if strange := ids.keys() - sent:
            print(f"{len(strange)} events are {label} but were never sent: {first_ten(strange)}")
    for reason in sending.refused[:10]:
        print(f"not accepted: {reason}")
    return all(ids.keys() == sent for ids in counted.values())


def print_commands(api: Api, path: str, day: str) -> None:
    curl = 'curl -sS -H "Authorization: Bearer $MILLRACE_TOKEN"'
    stream = f"$MILLRACE_URL{path}"
    print("\nThe stream is kept. To look at it, then remove it:")
    print(f"  export MILLRACE_URL={shlex.quote(api.url)} MILLRACE_TOKEN=…   # `make token` prints one")
    print(f'  {curl} "{stream}"\n  {curl} "{stream}/events?from_date={day}&to_date={day}"')
    print(f'  {curl} -X DELETE "{stream}/sinks/s3"\n  {curl} -X DELETE "{stream}"   # once the sink is gone')


def wait_until_gone(api: Api, path: str, seconds: float) -> None:
    started = time.monotonic()
    while (answer := api.call("GET", path)).status != 404:
        status = answer.body.get("status") if isinstance(answer.body, dict) else None
        if status == "INACTIVE":
            return
        if answer.status >= 400 or status == "OPERATION_FAILED" or time.monotonic() - started > seconds:
            raise DemoError(f"{path} was not removed: {answer.problem()} {json.dumps(answer.body)}")
        time.sleep(0.5)


def clean_up(api: Api, path: str, patience: Patience) -> None:
    print("\nremoving   the sink and the stream", flush=True)
    for target in (f"{path}/sinks/s3", path):
        api.expect("DELETE", target)
        wait_until_gone(api, target, patience.stack)
    print("Both are gone; the objects in S3 stay.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("url", "token", "stack", "aws-endpoint"):
        variable = f"MILLRACE_{name.replace('-', '_').upper()}"
        parser.add_argument(f"--{name}", default=os.environ.get(variable) or None, help=f"default: ${variable}")
    parser.add_argument("--cleanup", action="store_true", help="remove the sink and the stream at the end")
    given = parser.parse_args()
    for name in ("url", "token", "stack"):
        if not getattr(given, name):
            parser.error(f"MILLRACE_{name.upper()} is not set: use `make demo`, or give --{name}")
    return given


def run(given: argparse.Namespace) -> bool:
    events: list[Event] = [json.loads(line) for line in EVENTS_FILE.read_text(encoding="utf-8").splitlines()]
    sent = {event["id"] for event in events}
    days = sorted(event["time"][:10] for event in events)
    patience = LOCALLY if given.aws_endpoint else ON_AWS
    api = Api(given.url, given.token)
    stream_id = f"earthquakes-demo-{secrets.token_hex(3)}"
    path = f"/streams/{stream_id}/{VERSION}"
    started = time.monotonic()

    api.call("GET", "/ready")  # whether anything answers at all; another stream's fault is none of ours
    deployment = Deployment(Connection(given.aws_endpoint), given.stack)
    bucket = Bucket(deployment, f"processed/green/{stream_id}/version={VERSION}/")
    create_stream(api, path, patience)
    sending = send(api, path, events)
    in_s3 = collect_from_s3(bucket, set(sending.accepted), patience)
    history = read_history(api, path, days[0], days[-1], len(in_s3))
    equal = report(sent, sending, in_s3, history)
    if equal:
        took, rate = time.monotonic() - started, len(events) / sending.seconds
        print(f"All {len(sent)} events arrived everywhere, in {took:.0f} s (sent at {rate:.0f} events/s).")
    else:
        print(f"The numbers differ. Events that stopped on the way: s3://{bucket.name}/dead-letters/{stream_id}/")
        print(f"and s3://{bucket.name}/event-stream-sink/error/; the functions' logs: `make logs`.")
    if given.cleanup:
        clean_up(api, path, patience)
    else:
        print_commands(api, path, days[len(days) // 2])
    return equal


def main() -> int:
    try:
        return 0 if run(arguments()) else 1
    except (DemoError, ApiError, DeploymentError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; a stream that it made is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
