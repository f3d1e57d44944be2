#!/usr/bin/env python3
"""Makes the streams and resources of a folder. What exists already stays as it is, unless --update says otherwise.

The folder holds one document a file, YAML or JSON (.yaml, .yml, .json), named for what it declares:
    {id}.yaml                       a stream's newest version; version 1 when there is none
    {id}/{version}.yaml             a version of a stream
    resources/{type}/{id}.yaml      a resource

Resources come first, since streams name them. Every stream is checked before the first one is made or changed.
--plan says what would be done and does nothing.

Settings are flags or environment variables (`make apply` provides them):
    --url      MILLRACE_URL      base URL of the API
    --token    MILLRACE_TOKEN    a token with the scope manage
"""

import argparse
import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterator

from api import Answer, Api, ApiError

ENDINGS = {".yaml", ".yml", ".json"}
RESOURCES = "resources"


class FolderError(Exception):
    """Says in one line what is wrong with the folder."""


@dataclasses.dataclass(frozen=True, order=True)
class Declared:
    """One file: what it declares, and where the API has that."""

    is_stream: bool  # resources sort first
    path: str
    file: pathlib.Path

    def __str__(self) -> str:
        kind, _, name = self.path.strip("/").partition("/")
        return f"{kind.removesuffix('s')} {name}"

    def text(self) -> str:
        try:
            return self.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FolderError(f"{self.file}: {error}") from error


@dataclasses.dataclass(frozen=True)
class Step:
    """What is to be done about one file."""

    declared: Declared
    verb: str  # create, update or keep
    etag: str | None = None


def declarations(folder: pathlib.Path) -> list[Declared]:
    """Finds every document in the folder."""
    if not folder.is_dir():
        raise FolderError(f"{folder} is no folder")
    found = sorted(_documents(folder))
    if not found:
        raise FolderError(f"{folder} holds no .yaml, .yml or .json file")
    for one, other in zip(found, found[1:]):
        if one.path == other.path:
            raise FolderError(f"{one.file} and {other.file} declare the same")
    return found


def _documents(folder: pathlib.Path) -> Iterator[Declared]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).with_suffix("").parts
        # A version such as 1.2 keeps its last part: only what is known as an ending is one.
        if not file.is_file() or file.suffix not in ENDINGS or any(part.startswith(".") for part in parts):
            continue
        if parts[0] == RESOURCES and len(parts) == 3:
            yield Declared(False, f"/resources/{parts[1]}/{parts[2]}", file)
        elif parts[0] != RESOURCES and len(parts) in (1, 2):
            yield Declared(True, f"/streams/{'/'.join(parts)}", file)
        else:
            raise FolderError(f"{file}: expected {{id}}.yaml, {{id}}/{{version}}.yaml or {RESOURCES}/{{type}}/{{id}}.yaml")


def plan(api: Api, found: list[Declared], update: bool) -> list[Step]:
    """Compares the folder with what exists."""
    steps = []
    for declared in found:
        answer = api.call("GET", declared.path)
        if answer.status == 404:
            steps.append(Step(declared, "create"))
        elif answer.status == 200:
            steps.append(Step(declared, "update" if update else "keep", answer.etag))
        else:
            raise ApiError(f"GET {declared.path} answered {answer.problem()}")
    return steps


def faults(api: Api, steps: list[Step], coming: set[str]) -> list[str]:
    """Has every stream checked that would be made or changed. Resources that the folder brings are taken as there."""
    found = []
    for step in steps:
        if step.verb == "keep" or not step.declared.is_stream:
            continue
        answer = api.call("POST", "/streams/lint", step.declared.text())
        errors = answer.body.get("linting_errors", []) if isinstance(answer.body, dict) else []
        if answer.status not in (200, 400) or (answer.status == 400 and not errors):
            raise ApiError(f"POST /streams/lint answered {answer.problem()}")
        found += [f"{step.declared.file}: {error}" for error in errors if not any(f"{name} does not exist" in error for name in coming)]
    return found


def act(api: Api, step: Step) -> str:
    """Does one step and says what became of it."""
    declared = step.declared
    if step.verb == "keep":
        return f"kept       {declared} (it exists)"
    method = "PUT" if declared.is_stream and step.verb == "update" else "POST"
    answer = api.call(method, declared.path, declared.text(), step.etag)
    if not 200 <= answer.status < 300:
        raise ApiError(f"{declared.file}: {answer.problem()}")
    if step.verb == "create":
        return f"created    {declared}"
    return f"unchanged  {declared}" if is_same(step, answer) else f"updated    {declared}"


def is_same(step: Step, answer: Answer) -> bool:
    """Returns whether an update changed nothing: the entity tag counts configs."""
    return step.etag is not None and answer.etag == step.etag


def run(given: argparse.Namespace) -> int:
    """Makes, changes or plans. Returns the exit code: 1 when something was wrong."""
    api = Api(given.url, given.token)
    steps = plan(api, declarations(given.folder), given.update)
    resources = [step for step in steps if not step.declared.is_stream]
    streams = [step for step in steps if step.declared.is_stream]
    if given.plan:
        for step in steps:
            print(f"would {step.verb}  {step.declared}")
        coming = {" ".join(step.declared.path.split("/")[2:]) for step in resources if step.verb == "create"}
        return report(faults(api, streams, coming))
    for step in resources:
        print(act(api, step))
    if report(faults(api, streams, set())):
        return 1
    failed = []
    for step in streams:
        try:
            print(act(api, step))
        except ApiError as error:
            failed.append(str(error))
    return report(failed)


def report(wrong: list[str]) -> int:
    """Prints what is wrong. Returns the exit code."""
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--update", action="store_true", help="change what exists, too")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--url", default=os.environ.get("MILLRACE_URL"))
    parser.add_argument("--token", default=os.environ.get("MILLRACE_TOKEN"))
    given = parser.parse_args()
    if not given.url or not given.token:
        parser.error("expected --url and --token, or MILLRACE_URL and MILLRACE_TOKEN")
    try:
        return run(given)
    except (ApiError, FolderError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
