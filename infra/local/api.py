"""Speaks HTTP to a deployed Millrace."""

import dataclasses
import http.client
import json
import urllib.error
import urllib.request
from typing import Any


class ApiError(Exception):
    """Says in one line why there was no answer, or not the one that had to be."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One HTTP answer. `body` is the decoded JSON, or the text when it is not JSON."""

    status: int
    retry_after: str | None
    body: Any
    etag: str | None = None

    def problem(self) -> str:
        """Puts a problem document, or whatever came instead, into one line."""
        if not isinstance(self.body, dict):
            return f"{self.status} {' '.join(str(self.body).split())[:200]}"
        title = self.body.get("title") or self.body.get("message") or ""
        line = f"{self.status} {title}".rstrip()
        if detail := self.body.get("detail"):
            line += f": {detail}"
        if errors := self.body.get("linting_errors") or self.body.get("errors"):
            line += f" {json.dumps(errors)}"
        if request_id := self.body.get("request_id"):
            line += f" (request {request_id})"
        return line


class Api:
    """The Millrace HTTP API as one caller sees it; without a token, as anybody does."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url, self.token = url.rstrip("/"), token

    def call(self, method: str, path: str, body: Any = None, if_match: str | None = None) -> Answer:
        """Sends one request; every HTTP status is an answer, only silence is an error. A body that is text is sent as it is, as YAML."""
        request = urllib.request.Request(self.url + path, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if if_match:
            request.add_header("If-Match", if_match)
        if isinstance(body, str):
            request.data = body.encode()
            request.add_header("Content-Type", "application/yaml")
        elif body is not None:
            request.data = json.dumps(body, separators=(",", ":")).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return self._answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return self._answer(error.code, error.headers, error.read())
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ConnectionRefusedError):
                raise ApiError(f"nothing answers at {self.url}: run `make run` first") from error
            raise ApiError(f"{method} {self.url}{path}: {reason or type(error).__name__}") from error

    def expect(self, method: str, path: str, body: Any = None) -> Any:
        """Sends one request that must succeed and returns its body."""
        answer = self.call(method, path, body)
        if not 200 <= answer.status < 300:
            raise ApiError(f"{method} {path} answered {answer.problem()}")
        return answer.body

    @staticmethod
    def _answer(status: int, headers: Any, raw: bytes) -> Answer:
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode(errors="replace")
        return Answer(status, headers.get("Retry-After"), body, headers.get("ETag"))
