"""`manage.py up`: the whole product on one machine, with embedded servers and its own random secrets.

Every other command is production: it takes its secrets from the environment, except beside a running `up`, when the
environment sets none of them.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from config import local_state
from config.embedded import EmbeddedServer, EmbeddedServerFailed

STOP_WITHIN = 15.0
RESTART_AFTER = 1.0


class AlreadyRunning(Exception):
    """Another `up` holds this DATA_DIR."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"Another `manage.py up` is running with DATA_DIR={folder}. Stop it, or set another DATA_DIR.")


def prepare_environment(arguments: Sequence[str]) -> None:
    """Hand `up`'s secrets over in the environment: to `up` always, to other commands where nothing else is set."""
    command = arguments[1] if len(arguments) > 1 else ""
    configured = any(_is_set(name) for name in local_state.REQUIRED)
    if command == "up":
        os.environ.setdefault("ALLOW_PRIVATE_ADDRESSES", "1")
        os.environ.setdefault("PUBLIC_URL", f"http://localhost:{os.environ.get('PORT', '8000')}")
    elif configured or not local_state.read(local_state.SECRETS_FILE):
        return
    else:
        os.environ.setdefault("ALLOW_PRIVATE_ADDRESSES", "1")
        os.environ.setdefault("PUBLIC_URL", local_state.read(local_state.UP_FILE).get("url", "http://localhost:8000"))
        sys.stderr.write(f"Using the secrets of `manage.py up` in {local_state.data_dir()}.\n")
    for name, value in local_state.environment_of_up().items():
        if not _is_set(name):
            os.environ[name] = value


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the DATA_DIR for this `up`. Raises `AlreadyRunning`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(folder) from None
        yield


@contextlib.contextmanager
def embedded_servers(folder: Path) -> Iterator[None]:
    """Run the two embedded Valkeys: the broker, unless the environment names another, and the demo's destination."""
    values = local_state.secrets_of_up()
    servers = {}
    if os.environ["BROKER_URL"] == local_state.environment_of_up()["BROKER_URL"]:
        servers["broker"] = EmbeddedServer(folder / "broker", **values["broker"])
    servers["destination"] = EmbeddedServer(folder / "destination", **values["destination"], durable=True)
    with contextlib.ExitStack() as stack:
        for server in servers.values():
            stack.enter_context(server)
        stack.enter_context(_every_second(lambda: _start_again(servers)))
        yield


def _start_again(servers: Mapping[str, EmbeddedServer]) -> None:
    """Start servers again that ended by themselves. The broker comes back empty: the tick wakes workers anew."""
    for name, server in servers.items():
        if not server.running:
            sys.stderr.write(f"The embedded Valkey {name} ended; starting it again.\n")
            try:
                server.start()
            except EmbeddedServerFailed as error:
                sys.stderr.write(f"{error}\n")


@contextlib.contextmanager
def _every_second(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` every second in a thread of its own; once this ends, it does not run any more."""
    stopping = threading.Event()

    def watch() -> None:
        while not stopping.wait(RESTART_AFTER):
            look()

    thread = threading.Thread(target=watch, daemon=True, name="restarts")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@dataclass
class Child:
    """A process of ours: its command, its log file, and itself while it runs. `nice` as in the command of that name."""

    name: str
    command: list[str]
    log: Path
    nice: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the process in a group of its own, so that Ctrl-C reaches only `up`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", str(self.nice), *self.command] if self.nice else self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        share_cores(self.process.pid, nice=self.nice)


class Children:
    """Starts the children, starts one again that ended by itself, and ends all of them."""

    def __init__(self, folder: Path, children: Sequence[Child]) -> None:
        self._pids = folder / "up.pids"
        self._children = list(children)
        self._watch = contextlib.ExitStack()

    def __enter__(self) -> "Children":
        end_leftovers(self._pids)
        for child in self._children:
            child.start()
        self._remember()
        self._watch.enter_context(_every_second(self._start_again))
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_WITHIN
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._pids.unlink(missing_ok=True)

    def _start_again(self) -> None:
        for child in self._children:
            if child.process and child.process.poll() is not None:
                sys.stderr.write(f"{child.name} ended; starting it again. Its log: {child.log}\n")
                child.start()
                self._remember()

    def _remember(self) -> None:
        self._pids.write_text("\n".join(str(child.process.pid) for child in self._children if child.process))


def end_leftovers(pids: Path) -> None:
    """End the children of an `up` that was killed before it could end them itself."""
    try:
        numbers = [int(line) for line in pids.read_text().split()]
    except (OSError, ValueError):
        return
    for pid in numbers:
        command = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
        if "config.serve" in command or "celery" in command:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
    pids.unlink(missing_ok=True)


def children_of_up(folder: Path, *, port: int) -> list[Child]:
    """Describe the children: web and api on one port, a control worker, a load worker and beat.

    Where a runner of Profiles projects is configured, it gets a worker too.
    """
    logs = folder / "logs"
    logs.mkdir(exist_ok=True, mode=0o700)
    python = [sys.executable, "-m"]
    celery = [*python, "celery", "-A", "config"]
    worker = [*celery, "worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    commands = {
        "web": [*python, "config.serve", "--port", str(port), "--unready-for", "0", "--drain-for", "1",
                "--log-level", "error"],
        "control": [*worker, "-Q", "control", "-c", "1", "-n", "control@%h"],
        "load": [*worker, "-Q", "load", "-c", str(os.cpu_count() or 1), "-n", "load@%h"],
        "beat": [*celery, "beat", "--schedule", str(folder / "beat"), "--pidfile", ""],
    }  # fmt: skip
    if _is_set("RUNNER_COMMAND"):
        commands["runner"] = [*worker, "-Q", "runner", "-c", "1", "-n", "runner@%h"]
    nice = {"load": 10}  # a sync takes what reads and pages leave of the cores
    return [Child(name, command, logs / f"{name}.log", nice.get(name, 0)) for name, command in commands.items()]


def share_cores(pid: int, *, nice: int) -> None:
    """Have a session count as nice as its leader `pid`, where Linux shares the cores among sessions (sched(7)).

    It does by default outside of systemd's groups, and then a process's own nice value says nothing to other sessions.
    """
    if nice:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def tail(path: Path, *, lines: int = 15) -> str:
    """Return the last lines of a log."""
    with contextlib.suppress(OSError), path.open(errors="replace") as file:
        return "".join(_last(file, lines))
    return ""


def _last(file: IO[str], lines: int) -> list[str]:
    return file.readlines()[-lines:]
