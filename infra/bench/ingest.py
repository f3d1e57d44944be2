"""Measures the release build of `ingest-events` beside three other functions that get the same requests, and prints tables in Markdown.

Runs within `main.py ephemeral`, as `make bench-ingest` does: the table of the local AWS holds the streams and the keys, everything else is
played by the driver (functions/ingest-events/examples/drive/).

    do-nothing       `lambda_http` alone
    one-put          `lambda_http` and `PutRecords`, without any check
    Python           awslambdaric, boto3, jsonschema (infra/bench/handler.py)
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

import botocore.exceptions

import emulator
import workloads
from api import Api, ApiError
from deployment import Connection, Deployment, DeploymentError
from workloads import SCHEMA, Json, Workload

ROOT = pathlib.Path(__file__).parents[2]
STREAM_SECONDS = 60
OURS, OURS_CHECKING, ONE_PUT, DO_NOTHING = "`ingest-events`", "`ingest-events`, schema", "one-put", "do-nothing"
PYTHON, PYTHON_CHECKING = "Python", "Python, schema"
# Which core runs the function under test, and which the driver with its Kinesis.
FUNCTION_CORE, DRIVER_CORE = "0", "1"


class BenchError(Exception):
    """Says in one line why there are no numbers."""


def declare(api: Api, stream: str, document: Json) -> None:
    """Makes a stream and waits until it takes events."""
    path = f"/streams/{stream}/1"
    api.expect("POST", path, document)
    deadline = time.monotonic() + STREAM_SECONDS
    while (status := api.expect("GET", path)["status"]) != "ACTIVE":
        if time.monotonic() > deadline:
            raise BenchError(f"{path} is {status} after {STREAM_SECONDS} s")
        time.sleep(0.2)


def lambda_environment(connection: Connection) -> dict[str, str]:
    """What Lambda gives every function, with the local AWS as AWS."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench",
        "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": emulator.REGION,
        "AWS_DEFAULT_REGION": emulator.REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": str(connection.endpoint),
    }


def deployed_environment(deployed: Deployment) -> dict[str, str]:
    """What the template gives `ingest-events`, without the external issuer that the local AWS of its own sets up for tests."""
    name = next(name for name in deployed.function_names() if name.endswith("ingest-events"))
    configuration = deployed.connection.client("lambda").get_function_configuration(FunctionName=name)
    return configuration["Environment"]["Variables"] | {"OIDC_ISSUER": "", "OIDC_AUDIENCE": "", "OUTGOING_ALLOW_LIST": ""}


def functions(given: argparse.Namespace, deployed: Deployment) -> dict[str, Json]:
    every = lambda_environment(deployed.connection)
    put = every | {"STREAM_NAME": "bench"}
    ours = {"command": [str(given.release / "ingest-events")], "environment": every | deployed_environment(deployed)}
    python = [str(ROOT / ".venv/bench/bin/python"), "-m", "awslambdaric", "handler.handler"]
    in_python = put | {"PYTHONPATH": str(ROOT / "infra/bench"), "LAMBDA_TASK_ROOT": str(ROOT / "infra/bench")}
    return {
        DO_NOTHING: {"command": [str(given.release / "examples/do_nothing")], "environment": every},
        ONE_PUT: {"command": [str(given.release / "examples/one_put")], "environment": put},
        OURS: ours,
        OURS_CHECKING: ours,
        PYTHON: {"command": python, "environment": in_python},
        PYTHON_CHECKING: {"command": python, "environment": in_python | {"SCHEMA": json.dumps(SCHEMA)}},
    }


def cell_name(workload: Workload, function: str) -> str:
    return f"{workload.name}: {function}"


def cell(workload: Workload, function: str, token: str, starts: bool) -> Json:
    stream = "bench-schema" if function == OURS_CHECKING else "bench-plain"
    invocations = workload.invocations_of_python if function in (PYTHON, PYTHON_CHECKING) else workload.invocations
    return {
        "name": cell_name(workload, function),
        "function": function,
        "event": workloads.gateway_event(f"/streams/{stream}/1/events", workload.body, token),
        "records": [] if function == DO_NOTHING else workload.events,
        "warm_up": max(invocations // 5, 10),
        "invocations": invocations,
        "starts": starts,
    }


def drive(given: argparse.Namespace, plan: Json) -> list[Json]:
    """Runs the driver, and says how far it is on standard error."""
    pinned = shutil.which("taskset") and (os.cpu_count() or 1) > 1
    plan["prefix"] = ["taskset", "-c", FUNCTION_CORE] if pinned else []
    command = (["taskset", "-c", DRIVER_CORE] if pinned else []) + [str(given.release / "examples/drive")]
    expected = plan["starts"] * sum(cell["starts"] for cell in plan["cells"]) + plan["rounds"] * len(plan["cells"])
    found = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin and driver.stdout
        json.dump(plan, driver.stdin)
        driver.stdin.close()
        for line in driver.stdout:
            found.append(json.loads(line))
            if sys.stderr.isatty():
                print(f"\r{len(found)}/{expected}  {found[-1]['cell']}\033[K", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if driver.returncode != 0 or len(found) != expected:
        raise BenchError(f"the driver ended with {driver.returncode} after {len(found)} of {expected} measurements")
    return found


class Findings:
    """Medians over the rounds."""

    def __init__(self, found: list[Json]) -> None:
        self.found = found

    def each(self, cell: str, figure: str) -> list[float]:
        """One a round, in their order."""
        return [finding[figure] for finding in self.found if finding["cell"] == cell and figure in finding]

    def median(self, cell: str, figure: str) -> float:
        return statistics.median(self.each(cell, figure))

    def ratio(self, cell: str, other: str, figure: str) -> float:
        """Between neighbours of a round, so that what slows a whole round down does not show."""
        pairs = zip(self.each(cell, figure), self.each(other, figure), strict=True)
        return statistics.median(one / another for one, another in pairs)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in [head, *rows]]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines) + "\n"


def workload_table(findings: Findings, workload: Workload, names: list[str]) -> str:
    head = ["function", "invocations/s", "p50 µs", "p99 µs", "CPU µs", "CPU against one-put", "peak memory MiB"]
    figures = ["per_second", "p50_us", "p99_us", "cpu_us"]
    rows = []
    for name in names:
        cell = cell_name(workload, name)
        ratio = findings.ratio(cell, cell_name(workload, ONE_PUT), "cpu_us")
        peak = findings.median(cell, "peak_kib") / 1024
        rows.append([name, *(f"{findings.median(cell, figure):,.0f}" for figure in figures), f"{ratio:.2f}", f"{peak:.1f}"])
    title = workload.name[0].upper() + workload.name[1:]
    return f"{title}:\n\n{table(head, rows)}"


def start_table(findings: Findings, first: Workload, names: list[str], sizes: dict[str, int]) -> str:
    head = ["function", "ready ms", "first answer ms", "CPU until ready ms", "CPU until first answer ms", "size KiB"]
    figures = ["ready_ms", "answer_ms", "ready_cpu_ms", "answer_cpu_ms"]
    rows = []
    for name in names:
        size = f"{sizes[name] / 1024:,.0f}" if name in sizes else ""
        rows.append([name, *(f"{findings.median(cell_name(first, name), figure):.1f}" for figure in figures), size])
    return f"Cold start, with {first.name}:\n\n{table(head, rows)}"


def aims_table(findings: Findings, every: list[Workload]) -> str:
    """The aims as ratios, each with what was measured."""
    rows = []

    def aim(what: str, got: float, limit: float, at_least: bool = False) -> None:
        met = got >= limit if at_least else got <= limit
        rows.append([what, f"at {'least' if at_least else 'most'} {limit:g}", f"{got:.2f}", "yes" if met else "no"])

    def ratio(workload: Workload, name: str, other: str, figure: str = "cpu_us") -> float:
        return findings.ratio(cell_name(workload, name), cell_name(workload, other), figure)

    for workload in every:
        for name, limit in ((OURS, 1.25), (OURS_CHECKING, 1.5)):
            aim(f"CPU of {name}, against one-put, {workload.name}", ratio(workload, name, ONE_PUT), limit)
    single, _, array = every
    for workload, limit in ((single, 4), (array, 20)):
        what = f"CPU of {PYTHON_CHECKING}, against {OURS_CHECKING}, {workload.name}"
        aim(what, ratio(workload, PYTHON_CHECKING, OURS_CHECKING), limit, at_least=True)
    for what, figure in (("until ready", "ready_ms"), ("until the first answer", "answer_ms")):
        aim(f"cold start against one-put's, {what}", ratio(single, OURS, ONE_PUT, figure), 1.5)
    peaks = [findings.median(cell_name(workload, name), "peak_kib") for workload in every for name in (OURS, OURS_CHECKING)]
    aim("peak memory in MiB", max(peaks) / 1024, 25)
    return "Aims:\n\n" + table(["figure", "aim", "measured", "met"], rows)


def run(given: argparse.Namespace, deployed: Deployment, token: str) -> None:
    api = Api(deployed.url(), token)
    declare(api, "bench-plain", {"name": "Bench"})
    declare(api, "bench-schema", {"name": "Bench, with a schema", "input": {"schema": SCHEMA}})
    started = functions(given, deployed)
    every = workloads.workloads()
    cells = [cell(workload, name, token, starts=workload is every[0]) for workload in every for name in started]
    plan: Json = {"rounds": given.rounds, "starts": given.starts, "functions": started, "cells": cells}
    findings = Findings(drive(given, plan))
    sizes = {name: os.stat(start["command"][0]).st_size for name, start in started.items() if name not in (PYTHON, PYTHON_CHECKING)}
    print()
    for workload in every:
        print(workload_table(findings, workload, list(started)))
    print(start_table(findings, every[0], list(started), sizes))
    print(aims_table(findings, every))
    if given.out:
        given.out.write_text(json.dumps(findings.found, indent=1), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=pathlib.Path, required=True, help="directory of the release build")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured; the tables show medians")
    parser.add_argument("--starts", type=int, default=10, help="how often each function is started for its cold start")
    parser.add_argument("--out", type=pathlib.Path, help="a file for every single measurement, as JSON")
    given = parser.parse_args()
    try:
        deployed = Deployment(Connection(os.environ["MILLRACE_AWS_ENDPOINT"]), os.environ["MILLRACE_STACK"])
        run(given, deployed, os.environ["MILLRACE_TOKEN"])
    except KeyError as error:
        print(f"bench: {error} is missing; it runs within `main.py ephemeral`, as `make bench-ingest` does", file=sys.stderr)
        return 1
    except (BenchError, ApiError, DeploymentError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
