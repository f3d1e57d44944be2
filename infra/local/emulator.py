"""Starts and stops a local AWS: one MiniStack process, one port, one directory for everything it writes."""

import dataclasses
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

LAUNCHER = pathlib.Path(__file__).with_name("ministack_launcher.py")
HOST = "127.0.0.1"
REGION = "us-east-1"
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class EmulatorError(Exception):
    """Says in one line why the local AWS is not there."""


@dataclasses.dataclass(frozen=True)
class Emulator:
    """A local AWS on `port` that keeps its process id, log and temporary files in `directory`."""

    port: int
    directory: pathlib.Path

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log_file(self) -> pathlib.Path:
        return self.directory / "ministack.log"

    @property
    def pid_file(self) -> pathlib.Path:
        return self.directory / "ministack.pid"

    def settings(self) -> dict[str, str]:
        """What AWS tools need to speak to this one and to nothing else: no profile, no credentials of the user's."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self.directory),
        }

    def start(self, end_with_this_process: bool = False) -> None:
        """Returns when it answers. `end_with_this_process` stops it even when this process is killed."""
        if answers(HOST, self.port):
            raise EmulatorError(f"port {self.port} of {HOST} is taken by another program; choose one with PORT=…")
        temporary = self.directory / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        command = [sys.executable, str(LAUNCHER), *([str(os.getpid())] if end_with_this_process else [])]
        with self.log_file.open("wb") as log:
            # A session of its own, so that Ctrl-C in the terminal goes to the command that was asked for, not to this.
            process = subprocess.Popen(
                command, env=self._environment(temporary), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
        self.pid_file.write_text(f"{process.pid} {self.port}")
        deadline = time.monotonic() + START_SECONDS
        while not self._healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise EmulatorError(f"the local AWS did not start; the end of its log:\n{self._end_of_log()}")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether the process that `start` left behind is still there, and is MiniStack rather than a reused id."""
        pid = self._pid()
        return pid is not None and is_launcher(pid)

    def stop(self) -> None:
        """Asks the process to end, if it is there, and waits for it."""
        pid = self._pid()
        if pid is not None and is_launcher(pid):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while is_launcher(pid):
                if time.monotonic() > deadline:
                    os.killpg(pid, signal.SIGKILL)
                    break
                time.sleep(0.05)
        self.pid_file.unlink(missing_ok=True)
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)

    def _environment(self, temporary: pathlib.Path) -> dict[str, str]:
        """Everything that MiniStack gets. It hands its whole environment on to the functions, so none of ours goes in."""
        return self.settings() | {
            "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "STATE_DIR": str(temporary / "state"),
            "S3_DATA_DIR": str(temporary / "s3"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2) as response:
                return response.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def _pid(self) -> int | None:
        try:
            return int(self.pid_file.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def _end_of_log(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


def started_in(directory: pathlib.Path) -> Emulator | None:
    """The one that an earlier command started in that directory, when it still runs."""
    try:
        _, port = (directory / "ministack.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    found = Emulator(int(port), directory)
    return found if found.running() else None


def answers(host: str, port: int) -> bool:
    """Whether anything listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def reserved_port() -> int:
    """A port for a server that starts later: nothing listens on it, and it is below those that systems hand out by themselves."""
    while answers(HOST, port := random.randrange(20_000, 30_000)):
        pass
    return port


def is_launcher(pid: int) -> bool:
    """Whether that process runs our launcher and has not ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # Started by an earlier command, so not a child of this one.
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "stat=,args="], capture_output=True, text=True, check=False)
    return LAUNCHER.name in shown.stdout and not shown.stdout.lstrip().startswith("Z")
