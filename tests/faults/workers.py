"""Celery load workers as processes of their own, on the test's database, broker and folders; the test plays the tick."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from activation import recovery, tasks
from activation.models import RunState, SyncRun
from tests import environment
from tests.processes import ROOT

ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
_STOP_WITHIN = 15.0
_ESTABLISHED = "01"  # https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html


@dataclass
class LoadWorker:
    """One `celery worker` of the queue `load` with some load processes; a context manager."""

    folder: Path
    processes: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--without-gossip", "--without-mingle"]
        command += ["--loglevel", "INFO", "-Q", "load", "-c", str(self.processes), "-n", f"load-{os.getpid()}@%h"]
        with (self.folder / "load.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": database_url(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for(lambda: len(self.children()) == self.processes, what="the load processes", within=60, every=0.1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pid in descendants(process.pid):
            _signal(pid, signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def children(self) -> list[int]:
        """The load processes."""
        assert self._process is not None
        return children_of(self._process.pid)

    def is_alive(self) -> bool:
        """Tell whether the worker itself is there: what its load processes are children of."""
        return self._process is not None and self._process.poll() is None

    def loading(self) -> list[int]:
        """The load processes that have a partition at the moment."""
        return [pid for pid in self.children() if loads(pid)]


def tick() -> None:
    """What the beat's tick does for runs; a broker that is away is no reason to stop ticking."""
    recovery.put_back_stalled(now=timezone.now())
    try:
        tasks.wake()
    except OperationalError:
        return


def ended(run: SyncRun, *, within: float = 60) -> SyncRun:
    """Tick until the run has ended."""

    def over() -> bool:
        tick()
        run.refresh_from_db()
        return run.state in ENDED

    wait_for(over, what=f"the end of the run, which is {run.state}", within=within, every=0.25)
    return run


def wait_for(condition: Callable[[], object], *, what: str, within: float = 30, every: float = 0.02) -> None:
    """Look until the condition holds; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:g} s for {what}"
        time.sleep(every)


def children_of(pid: int) -> list[int]:
    """List the live child processes of a process."""
    done = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    return [int(child) for child, state in lines if not state.startswith("Z")]


def loads(pid: int) -> bool:
    """Tell whether a load process has a partition: it is connected to a server other than our own (Linux)."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):  # closed meanwhile
            sockets.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    own = {environment.BROKER_PORT, int(connection.settings_dict.get("PORT") or 0)}
    return any(inode in sockets and port not in own for inode, port in _connections(pid))


def _connections(pid: int) -> Iterator[tuple[str, int]]:
    """Yield inode and remote port of every TCP connection that the process could have."""
    for table in (f"/proc/{pid}/net/tcp", f"/proc/{pid}/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _ESTABLISHED:
                    yield fields[9], int(fields[2].rsplit(":", 1)[1], 16)


def descendants(pid: int) -> list[int]:
    """List a process's children and theirs."""
    own = children_of(pid)
    return [*own, *(further for child in own for further in descendants(child))]


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def database_url() -> str:
    """Name the test's database for another process."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    user, password = quote(str(values["USER"])), quote(str(values["PASSWORD"]))
    host, port = quote(str(values["HOST"]), safe=""), values["PORT"] or 5432
    if str(values["HOST"]).startswith("/"):
        return f"postgresql://{user}:{password}@/{values['NAME']}?host={host}&port={port}"
    return f"postgresql://{user}:{password}@{host}:{port}/{values['NAME']}"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
