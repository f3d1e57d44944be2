"""The commands behind the Makefile.

    run         start the local AWS when it is not running, deploy to it, and say how to use it
    stop        end the local AWS; everything in it is gone
    logs        follow the logs of all functions
    token       print a token
    retire-key  refuse the tokens of a signing key that is no longer in use
    exec        run a command with the MILLRACE_… variables of a deployment
    ephemeral   the same on a local AWS that lives only as long as the command, on a free port
    package     write the template with its functions as zip files, ready for `sam deploy`
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NoReturn

import botocore.exceptions

import deploy
import emulator
import function_logs
import signing_keys
from deployment import Connection, Deployment, DeploymentError

STATE = deploy.ROOT / ".local"
# What the end-to-end tests put into the tokens of the issuer that they serve.
E2E_AUDIENCE = "millrace-e2e"


def deployment(given: argparse.Namespace) -> Deployment:
    """The deployment that the flags mean: on AWS, at an endpoint, or the one that `run` made."""
    if given.aws:
        return Deployment(Connection(None), given.stack)
    endpoint = given.endpoint or os.environ.get("MILLRACE_AWS_ENDPOINT")
    if not endpoint:
        local = emulator.started_in(STATE)
        if local is None:
            raise DeploymentError("the local AWS is not running: use `make run` first (or AWS=1 for a deployment on AWS)")
        endpoint = local.endpoint
    return Deployment(Connection(endpoint), given.stack)


def run(given: argparse.Namespace) -> int:
    started = time.monotonic()
    running = emulator.started_in(STATE)
    local = running or emulator.Emulator(given.port, STATE)
    if running:
        print(f"running    the local AWS at {local.endpoint}", flush=True)
    else:
        local.start()
        print(f"started    the local AWS at {local.endpoint} ({time.monotonic() - started:.1f} s)", flush=True)
    connection = Connection(local.endpoint)
    deploy.deploy(connection, given.stack, given.binaries, dict(given.parameters))
    deployed = Deployment(connection, given.stack)
    token = deployed.token("default", ["admin"], days=30)
    print(f"ready      in {time.monotonic() - started:.1f} s\n")
    print_how_to_use(deployed.url(), token)
    return 0


def print_how_to_use(url: str, token: str) -> None:
    """The two variables in single quotes, since the URL holds a dollar sign; the commands use them, and stay short."""
    print(f"export MILLRACE_URL='{url}'\nexport MILLRACE_TOKEN='{token}'\n")
    print("The token is an admin of the owner default for 30 days; `make token` prints another.")
    print("Create a stream, look at it (ACTIVE after a few seconds), send it an event:\n")
    curl = 'curl -sS -H "Authorization: Bearer $MILLRACE_TOKEN"'
    stream = "$MILLRACE_URL/streams/hello-world/1"
    json_type = "-H 'Content-Type: application/json'"
    print(f"{curl} {json_type} -d '{{}}' \"{stream}\"\n")
    print(f'{curl} "{stream}"\n')
    print(f"{curl} {json_type} -d '[{{\"hello\": \"world\"}}]' \"{stream}/events\"\n")
    print("`make demo` also enables a stream's S3 sink and reads its history.")
    print("`make logs` follows the functions, `make stop` ends the local AWS and everything in it.")


def stop(_: argparse.Namespace) -> int:
    started = time.monotonic()
    local = emulator.started_in(STATE)
    if local is None:
        print("the local AWS is not running")
    else:
        local.stop()
        print(f"stopped    the local AWS ({time.monotonic() - started:.1f} s)")
    return 0


def logs(given: argparse.Namespace) -> int:
    try:
        function_logs.follow(deployment(given))
    except KeyboardInterrupt:
        pass  # The way to end it.
    return 0


def token(given: argparse.Namespace) -> int:
    print(deployment(given).token(given.owner, given.scopes.split(","), given.days))
    return 0


def retire_key(given: argparse.Namespace) -> int:
    signing_keys.retire(deployment(given), given.kid)
    print(f"retired    {given.kid}; its tokens are refused within a minute")
    return 0


def run_command(command: list[str], environment: dict[str, str]) -> int:
    """Runs it to its end and passes SIGTERM on, so that the cleaning up after it still happens."""
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise DeploymentError(f"{command[0]}: {error.strerror}") from error
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        exit_code = process.wait()
    except KeyboardInterrupt:
        exit_code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, exit_on_signal)
    return exit_code if exit_code >= 0 else 128 - exit_code  # as a shell tells of a signal


def exec_command(given: argparse.Namespace) -> int:
    return run_command(given.command, deployment(given).environment())


def ephemeral(given: argparse.Namespace) -> int:
    STATE.mkdir(exist_ok=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ephemeral-", dir=STATE))
    local = emulator.Emulator(emulator.free_port(), directory)
    issuer = f"http://{emulator.HOST}:{emulator.reserved_port()}"  # the command may serve one there
    exit_code = 1
    try:
        local.start(end_with_this_process=True)
        print(f"started    a local AWS of its own at {local.endpoint}", flush=True)
        deployed = Deployment(Connection(local.endpoint), given.stack)
        if given.empty:
            environment = os.environ | local.settings()
        else:
            parameters = {"OidcIssuer": issuer, "OidcAudience": E2E_AUDIENCE, "OutgoingAllowList": f"{emulator.HOST}/32"}
            deploy.deploy(deployed.connection, given.stack, given.binaries, parameters)
            environment = deployed.environment() | {"MILLRACE_OIDC_ISSUER": issuer, "MILLRACE_OIDC_AUDIENCE": E2E_AUDIENCE}
        exit_code = run_command(given.command, environment)
        if exit_code != 0 or not given.empty:
            lines = function_logs.collect(deployed)
            exit_code = exit_code or look_for_tokens(lines, environment["MILLRACE_TOKEN"])
        if exit_code != 0:
            (directory / "functions.log").write_text("\n".join(map(str, lines)), encoding="utf-8")
    finally:
        local.stop()
        if exit_code == 0:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"failed     with {exit_code}; the logs are in {directory.relative_to(deploy.ROOT)}", flush=True)
    return exit_code


def look_for_tokens(lines: list[function_logs.Line], token: str) -> int:
    """A canary: whatever the command made the functions do, no token of it may stand in a log. It would find this one."""
    if not function_logs.TOKEN.search(token):
        print("looked     for tokens, but would not know one", flush=True)
        return 1
    functions = {line.function for line in lines}
    if leaking := function_logs.functions_that_leak(lines):
        print(f"looked     through {len(lines)} lines of logs: a token stands in those of {', '.join(leaking)}", flush=True)
    elif not lines:
        print("looked     for tokens in the logs, but there are no logs", flush=True)
    else:
        print(f"looked     through {len(lines)} lines of logs of {len(functions)} functions: no token in them", flush=True)
        return 0
    return 1


def package(given: argparse.Namespace) -> int:
    """Paths are absolute, since SAM reads them relative to the template that it is given."""
    if given.zips:
        folders = deploy.function_folders(deploy.TEMPLATE.read_text(encoding="utf-8"))
        zips = {folder: given.zips / folder / "bootstrap.zip" for folder in folders}
    else:
        zips = deploy.package_all(given.binaries)
    if missing := [str(zipped) for zipped in zips.values() if not zipped.is_file()]:
        raise DeploymentError(f"not built: {', '.join(missing)}")
    template = deploy.with_code(
        deploy.TEMPLATE.read_text(encoding="utf-8"), {folder: str(zipped.resolve()) for folder, zipped in zips.items()}
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(template, encoding="utf-8")
    print(f"packaged   {len(zips)} functions for {given.out}")
    return 0


def exit_on_signal(*_: object) -> NoReturn:
    sys.exit(143)


def stack_name(text: str) -> str:
    """Longer names are cut when CloudFormation names roles after them, upper case cannot be in a bucket's name, and two
    dashes end the deployment's name in the names of what its API makes."""
    if len(text) > 20 or not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", text):
        raise argparse.ArgumentTypeError(
            f"{text}: expected at most 20 lower-case letters, digits and single dashes, a letter first, no dash last"
        )
    return text


def parameter(text: str) -> tuple[str, str]:
    """`Name=value`, as `sam deploy --parameter-overrides` takes it."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text}: expected Name=value")
    return name, value


def command_name(function: Callable[[argparse.Namespace], int]) -> str:
    return function.__name__.removesuffix("_command").replace("_", "-")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stack", type=stack_name, default="millrace", help="name of the stack")
    common.add_argument("--binaries", type=pathlib.Path, default=deploy.BINARIES, help="directory of the built functions")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--aws", action="store_true", help="the deployment is on AWS, not local")
    where.add_argument("--endpoint", help="endpoint of another local AWS than that of `run`")
    commands = parser.add_subparsers(required=True, metavar="command")
    for function, parents in (
        (run, [common]), (stop, [common]), (logs, [common, where]), (token, [common, where]), (retire_key, [common, where]),
        (exec_command, [common, where]), (ephemeral, [common]), (package, [common]),
    ):
        command = commands.add_parser(command_name(function), parents=parents)
        command.set_defaults(function=function)
        if function is run:
            command.add_argument("--port", type=int, default=4566, help="port of the local AWS, when it is not running yet")
            command.add_argument("--parameters", type=parameter, nargs="+", default=[], help="Name=value …, for the stack")
        if function is token:
            command.add_argument("--owner", default="default", help="the owner that the token speaks for")
            command.add_argument("--scopes", default="admin", help="admin, or some of manage,ingest,read")
            command.add_argument("--days", type=int, default=30, help="days until it expires")
        if function is retire_key:
            command.add_argument("--kid", required=True, help="the key's id; one that is not known lists those that are")
        if function is ephemeral:
            command.add_argument("--empty", action="store_true", help="deploy nothing; the command does")
        if function in (exec_command, ephemeral):
            command.add_argument("command", nargs="+", help="after --")
        if function is package:
            command.add_argument("--zips", type=pathlib.Path, help="directory of {function}/bootstrap.zip; else zip the binaries")
            command.add_argument("--out", type=pathlib.Path, required=True, help="the template to write")
    return parser.parse_args()


def main() -> int:
    signal.signal(signal.SIGTERM, exit_on_signal)
    given = arguments()
    try:
        return given.function(given)
    except (DeploymentError, emulator.EmulatorError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"{command_name(given.function)}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
