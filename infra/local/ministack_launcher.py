"""Runs MiniStack, the local AWS, with two delays of its Lambda runtime taken out and one refusal of its API Gateway.

As shipped, every invocation waits about 90 ms that have nothing to do with the function: small TCP segments held back
by Nagle's algorithm, and a fixed wait for a first log line. And no OPTIONS request reaches a function, though AWS
passes it on like any other method when the API has no CORS configuration. All of it is changed through names that
MiniStack does not promise to keep, so this refuses to start when one of them is gone. Started by emulator.py, never by
hand.
"""

import inspect
import os
import signal
import socketserver
import sys
import threading
import time
from typing import Any

import ministack.app
from ministack.core import lambda_runtime
from ministack.services import apigateway

EXPECTED_DRAIN = {"first_line_wait": 0.050, "idle_confirm": 0.005, "hard_cap": 0.250}
QUICK_DRAIN = (0.002, 0.002, 0.250)

EVERY_PREFLIGHT = '    if method == "OPTIONS":\n        return _cors_preflight_response('
CONFIGURED_PREFLIGHT = '    if method == "OPTIONS" and cors_cfg:\n        return _cors_preflight_response('


def send_small_segments_at_once() -> None:
    """The runtime API writes headers and body apart; with Nagle the second waits for an acknowledgement of the first."""
    if not hasattr(socketserver.StreamRequestHandler, "disable_nagle_algorithm"):
        sys.exit("ministack launcher: socketserver.StreamRequestHandler.disable_nagle_algorithm is gone")
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def collect_logs_quickly() -> None:
    """The functions log a line per invocation before they answer, so a long wait for one brings nothing."""
    drain: Any = getattr(getattr(lambda_runtime, "Worker", None), "_drain_stderr_bounded", None)
    if drain is None:
        sys.exit("ministack launcher: lambda_runtime.Worker._drain_stderr_bounded is gone")
    defaults = {name: p.default for name, p in inspect.signature(drain).parameters.items() if name != "self"}
    if defaults != EXPECTED_DRAIN:
        sys.exit(f"ministack launcher: _drain_stderr_bounded: expected the defaults {EXPECTED_DRAIN}, got {defaults}")
    drain.__defaults__ = QUICK_DRAIN


def pass_options_on() -> None:
    """The gateway itself answers OPTIONS only for an API with a CORS configuration; ours says per stream who may send."""
    execute: Any = getattr(apigateway, "_handle_execute_in_scope", None)
    if execute is None:
        sys.exit("ministack launcher: apigateway._handle_execute_in_scope is gone")
    lines, first = inspect.getsourcelines(execute)
    source = "".join(lines)
    if source.count(EVERY_PREFLIGHT) != 1:
        sys.exit(f"ministack launcher: _handle_execute_in_scope: expected once the lines\n{EVERY_PREFLIGHT}")
    # The empty lines before it let a traceback name the right one.
    mended = "\n" * (first - 1) + source.replace(EVERY_PREFLIGHT, CONFIGURED_PREFLIGHT)
    exec(compile(mended, inspect.getfile(execute), "exec"), vars(apigateway))


def end_with(parent: int) -> None:
    """Stops this process when its parent is gone, however that went."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Takes one optional argument: the process id of the parent to end with."""
    send_small_segments_at_once()
    collect_logs_quickly()
    pass_options_on()
    if len(sys.argv) > 1:
        end_with(int(sys.argv[1]))
    sys.argv = sys.argv[:1]
    ministack.app.main()


if __name__ == "__main__":
    main()
