"""What the bench sends: bodies of an exact size, the schema that their events keep, and the events that Lambda makes of them."""

import copy
import dataclasses
import json
from typing import Any

Json = dict[str, Any]

POSITION = {
    "type": "object",
    "required": ["lat", "lon"],
    "properties": {
        "lat": {"type": "number", "minimum": -90, "maximum": 90},
        "lon": {"type": "number", "minimum": -180, "maximum": 180},
    },
}
SCHEMA: Json = {
    "type": "object",
    "required": ["id", "time", "truck", "kmh"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "truck": {"type": "string"},
        "kmh": {"type": "number", "minimum": 0},
        "litres": {"type": "integer", "minimum": 0, "maximum": 1000},
        "at": POSITION,
        "note": {"type": "string"},
        "readings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["second", "kmh"],
                "properties": {
                    "second": {"type": "integer", "minimum": 0, "maximum": 86_400},
                    "kmh": {"type": "number", "minimum": 0},
                    "at": POSITION,
                },
            },
        },
    },
}

# As API Gateway's HTTP API hands a request to Lambda, in version 2.0.
REQUEST: Json = {
    "version": "2.0",
    "routeKey": "$default",
    "rawQueryString": "",
    "headers": {
        "accept": "*/*",
        "content-type": "application/json",
        "host": "a0a0a0a1.execute-api.us-east-1.amazonaws.com",
        "user-agent": "curl/8.5.0",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    },
    "requestContext": {
        "accountId": "000000000000",
        "apiId": "a0a0a0a1",
        "domainName": "a0a0a0a1.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": "a0a0a0a1",
        "http": {"method": "POST", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "curl/8.5.0"},
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": "$default",
        "stage": "$default",
        "time": "01/Jan/2026:00:00:00 +0000",
        "timeEpoch": 1767225600000,
    },
    "isBase64Encoded": False,
}


@dataclasses.dataclass(frozen=True)
class Workload:
    """One kind of request, and how often a function gets it in a round."""

    name: str
    events: list[Json]
    invocations: int
    invocations_of_python: int

    @property
    def body(self) -> str:
        return text(self.events if len(self.events) > 1 else self.events[0])


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def event(nth: int, size: int) -> Json:
    """An event of exactly so many bytes: readings as far as they fit, then a note."""
    made: Json = {
        "id": f"4f8e-{nth:06}",
        "time": "2018-02-07T01:26:13.840Z",
        "truck": f"rubbish {nth % 40}",
        "kmh": nth % 90 + 0.5,
        "litres": 240,
        "at": {"lat": 59.9139, "lon": 10.7522},
        "note": "",
    }
    if size > 1000:
        made["readings"] = []
    while len(text(made)) + 100 < size and size > 1000:
        second = len(made["readings"])
        reading = {"second": second, "kmh": second % 90 + 0.25, "at": {"lat": 59.9139, "lon": round(10.7522 + second / 10_000, 4)}}
        made["readings"].append(reading)
    made["note"] = "x" * (size - len(text(made)))
    assert len(text(made)) == size
    return made


def workloads() -> list[Workload]:
    return [
        Workload("one event of 250 B", [event(1, 250)], 1000, 1000),
        Workload("one event of 10 KB", [event(1, 10_240)], 1000, 200),
        Workload("500 events of 250 B", [event(nth, 250) for nth in range(500)], 200, 40),
    ]


def gateway_event(path: str, body: str, token: str) -> str:
    made = copy.deepcopy(REQUEST)
    made["rawPath"] = made["requestContext"]["http"]["path"] = path
    made["headers"]["authorization"] = f"Bearer {token}"
    made["headers"]["content-length"] = str(len(body))
    made["body"] = body
    return text(made)
