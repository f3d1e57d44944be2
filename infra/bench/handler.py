"""What `ingest-events` does to a body, as a Lambda function in Python would: `make bench-ingest` measures it beside the others.

It takes one event or an array, holds each against a JSON Schema where there is one, puts those that keep to it with one `PutRecords`, and
answers one result an event. It knows no tokens and no streams.
"""

import base64
import json
import os
import uuid
from typing import Any

import boto3
import jsonschema

STREAM = os.environ["STREAM_NAME"]
SCHEMA = json.loads(os.environ["SCHEMA"]) if os.environ.get("SCHEMA") else None
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()) if SCHEMA else None
KINESIS = boto3.client("kinesis")


def fault(event: Any) -> str | None:
    """Why the event cannot be accepted."""
    if not isinstance(event, dict):
        return "an event is a JSON object"
    error = next(VALIDATOR.iter_errors(event), None) if VALIDATOR else None
    return error.message if error else None


def handler(request: dict[str, Any], _: Any) -> dict[str, Any]:
    body = base64.b64decode(request["body"]) if request.get("isBase64Encoded") else request["body"]
    parsed = json.loads(body)
    events = parsed if isinstance(parsed, list) else [parsed]
    faults = [fault(event) for event in events]
    records = [
        {"Data": json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode(), "PartitionKey": uuid.uuid4().hex}
        for event, why in zip(events, faults, strict=True)
        if why is None
    ]
    put = iter(KINESIS.put_records(StreamName=STREAM, Records=records)["Records"] if records else [])
    results = [{"index": index, **result(why, put)} for index, why in enumerate(faults)]
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"results": results}),
    }


def result(why: str | None, put: Any) -> dict[str, Any]:
    if why is not None:
        return {"status": "rejected", "errors": [why]}
    return {"status": "retry" if next(put).get("ErrorCode") else "accepted"}
