"""`python -m config.serve`: the web and api process, or with `--api` the api process alone.

It is granian with what that has not: WSGI in threads behind an event loop that answers what needs none
(`config.front`), enough of them to refuse what is too much (`config.overload`), and listeners that belong to the
parent, so that workers come and go behind them without a connection lost:

* SIGHUP starts new workers, with the code as it is then, and sees the old ones off once those are ready. If they do not
  start, the old ones stay.
* SIGTERM has `/readyz` say 503 for `--unready-for` seconds, and then sees all workers off.
* A worker that is seen off takes no more connections, ends each with its next answer, and goes when none is left, or
  after `--drain-for` seconds.

What a worker has loaded when it begins, all that its callable's `prepare` loads among it, is left alone by the garbage
collector, which would else stop all its threads for some 100 ms now and then to walk over it.

The parent imports neither Django nor anything of ours that may change with an update.
"""

import argparse
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context, set_start_method
from multiprocessing.synchronize import Event
from pathlib import Path
from stat import S_ISSOCK
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces, Loops
from granian.log import LogLevels, logger
from granian.server.mp import MPServer, WorkerProcess

from config import overload
from config.environment import Environment
from config.front import Front
from config.garbage import collect_seldom

WEB, API = "config.wsgi:application", "config.wsgi:api"
BACKLOG = 1024
CONNECTIONS = 4096  # of a worker
READY_WITHIN = 60.0
KILLED_AFTER = 10  # seconds beyond those that a worker was given to leave
LOOKED_EVERY = 0.1
FIRST_PASSED_SOCKET = 3  # sd_listen_fds(3)
ANNOUNCE, LEAVE = signal.SIGUSR1, signal.SIGUSR2


class Server(MPServer):
    """granian, whose listeners are the parent's."""

    def __init__(self, *, unready_for: float, drain_for: float, **options: Any) -> None:
        super().__init__(
            interface=Interfaces.RSGI,
            loop=Loops.uvloop,
            websockets=False,
            backlog=BACKLOG,
            backpressure=CONNECTIONS,
            respawn_failed_workers=True,
            **options,
        )
        self._unready_for, self._drain_for = unready_for, drain_for
        self._listeners: list[socket.socket] = []
        self._ready: dict[WorkerProcess, Event] = {}

    def _init_shared_socket(self) -> None:
        """Open a listener for each worker, among which the system shares the connections."""
        self._ssp = self._shd = None
        self._listeners = passed_listeners(self.workers) or [
            listen(self.bind_addr, self.bind_port) for _ in range(self.workers)
        ]

    def _drop_shared_socket(self) -> None:
        """Keep the listeners until the workers leave (`_stop_workers`)."""

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> WorkerProcess:  # type: ignore[override]  # as granian has it
        ready = get_context("spawn").Event()
        self._sso = (self._listeners[idx], ready, self._drain_for)
        worker = super()._spawn_worker(idx, target, callback_loader)
        self._ready[worker] = ready
        return worker

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        """Put new workers in the place of old ones, which leave when the new ones are ready."""
        leaving = []
        for idx in workers:
            self.respawned_wrks[idx] = time.monotonic()
            worker = self._spawn_worker(idx, spawn_target, target_loader)
            worker.interrupt_by_parent = True  # its end is no reason to start it again until it was ready
            worker.start()
            if not became_ready(worker, self._ready.pop(worker)):
                logger.error("A new worker did not start; the old ones stay.")
                worker.kill()
                break
            worker.interrupt_by_parent = False
            leaving.append(self.wrks[idx])
            self.wrks[idx] = worker
        self._see_off(leaving)
        self._metrics.incr_spawn(len(leaving))

    def _stop_workers(self) -> None:
        self.main_loop_interrupt.clear()
        for worker in self.wrks:
            tell(worker, ANNOUNCE)
        self.main_loop_interrupt.wait(self._unready_for)  # a second signal cuts it short
        for listener in self._listeners:
            listener.close()  # theirs are the last then, and nobody waits at a door that stays shut
        self._see_off(self.wrks)
        self.wrks.clear()

    def _see_off(self, workers: list[WorkerProcess]) -> None:
        for worker in workers:
            worker.interrupt_by_parent = True
            tell(worker, LEAVE)
        until = time.monotonic() + self._drain_for + KILLED_AFTER
        for worker in workers:
            # granian waits for it, too: whoever is not told of its end by the system learns it a moment later.
            while worker.is_alive() and time.monotonic() < until:
                worker.join(LOOKED_EVERY)
            if worker.is_alive():
                logger.warning("A worker did not leave in time and is killed.")
                worker.kill()
                worker.join()


def listen(host: str, port: int) -> socket.socket:
    """Open a listener that shares its port with others of ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    return listener


def passed_listeners(workers: int) -> list[socket.socket]:
    """Return the listener that systemd passed, once for each worker; none where it passed none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    return [socket.socket(fileno=os.dup(FIRST_PASSED_SOCKET)) for _ in range(workers)]


def became_ready(worker: WorkerProcess, ready: Event) -> bool:
    """Wait until a worker can answer; False if it ended or takes too long."""
    until = time.monotonic() + READY_WITHIN
    while not ready.wait(LOOKED_EVERY):
        if not worker.is_alive() or time.monotonic() > until:
            return False
    return True


def tell(worker: WorkerProcess, what: signal.Signals) -> None:
    """Send a signal to a worker that is still there."""
    if worker.is_alive():
        with suppress(ProcessLookupError):
            os.kill(worker.inner.pid, what)


def work(worker_id: int, process_name: str, callback_loader: Any, sock: Any, *rest: Any) -> None:
    """Be a worker. Runs in a process of its own that knows nothing but its arguments."""
    listener, ready, drain_for = sock[1]
    address, number = listener.getsockname()[:2], listener.detach()
    signal.pthread_sigmask(signal.SIG_BLOCK, {ANNOUNCE, LEAVE})  # in all threads, which come later

    def load() -> Any:
        target = callback_loader()
        getattr(target, "prepare", lambda: None)()
        collect_seldom()
        threading.Thread(target=depart_when_told, args=(address, number, drain_for), daemon=True).start()
        ready.set()
        return Front(target, threads=overload.threads(requests_at_once()), first=getattr(target, "first", None))

    details = (BACKLOG,) if sys.platform in {"linux", "freebsd"} else ()
    holder = SocketHolder(number, False, *details)  # type: ignore[call-arg]  # its stub names none
    MPServer._spawn_rsgi_worker(  # noqa: SLF001 - granian has no other name for it; its version is pinned
        worker_id, process_name, load, ((None, holder), None), *rest
    )


def depart_when_told(address: tuple[str, int], number: int, drain_for: float) -> None:
    """Wait for what the parent says, and leave.

    Not in handlers: Python runs those in the main thread, which sleeps until something interrupts it. Of two signals in
    quick succession the system gives the second to another thread, since the first still waits for the main one. So
    the second would be seen only after the next: the worker would not leave, and be killed with requests under way.
    Signals that every thread blocks wait for whoever asks for them, also those that came before we were ready.
    """
    from config import departure

    while signal.sigwait({ANNOUNCE, LEAVE}) == ANNOUNCE:
        departure.this.announced = True
    departure.this.under_way = True
    shut_door(number)
    end_when_empty(address, drain_for)


def shut_door(number: int) -> None:
    """Take no more connections from a listener that other processes share.

    Closing it is up to who made it, and its queue belongs to the others. So another listener, which nobody knows,
    takes its place in this process. What polls the old one is told first, as it could not name it any more afterwards:
    granian would be woken by each connection of others, and by memory that it has freed once it stops.
    """
    for poller in pollers():
        with suppress(OSError), poller:  # it does not poll this listener
            poller.unregister(number)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as nowhere:
        nowhere.setblocking(False)
        os.dup2(nowhere.fileno(), number, inheritable=False)


def pollers() -> Iterator["select.epoll"]:
    """Find what this process polls with, where that outlives a descriptor (Linux)."""
    for file in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # closed meanwhile
            if file.readlink().name == "anon_inode:[eventpoll]":
                yield select.epoll.fromfd(os.dup(int(file.name)))


def end_when_empty(address: tuple[str, int], seconds: float) -> None:
    """End this process as soon as nobody is connected, or after some seconds; granian finishes what is under way."""
    until = time.monotonic() + seconds
    while True:
        # At least once: a connection may be just being accepted, and of a worker that was told before it was ready the
        # main thread just falling asleep, which a signal in that very moment would not keep it from.
        time.sleep(LOOKED_EVERY)
        if time.monotonic() >= until or not any_connected(address[1]):
            break
    os.kill(os.getpid(), signal.SIGTERM)


def any_connected(port: int) -> bool:
    """Tell whether this process holds a connection that came in by a port."""
    return any(_came_in_by(int(file.name), port) for file in Path("/dev/fd").iterdir())


def _came_in_by(number: int, port: int) -> bool:
    try:
        if not S_ISSOCK(os.fstat(number).st_mode):
            return False
        with socket.socket(fileno=os.dup(number)) as sock:
            listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            name = sock.getsockname()
            return not listens and isinstance(name, tuple) and name[1:2] == (port,)
    except OSError:
        return False  # closed meanwhile


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m config.serve")
    parser.add_argument("--api", dest="application", action="store_const", const=API, default=WEB, help="the API alone")
    parser.add_argument("--application", help=argparse.SUPPRESS)  # the benchmarks' yardstick
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes; about one for each core")
    parser.add_argument("--unready-for", type=float, default=5, help="seconds between SIGTERM and the door's closing")
    parser.add_argument("--drain-for", type=float, default=10, help="seconds that connections have to end")
    parser.add_argument("--log-level", default="info", choices=[level.value for level in LogLevels])
    return parser.parse_args(arguments)


def requests_at_once() -> int:
    """Return what `API_REQUESTS_AT_ONCE` says; what is wrong with it is said by the workers."""
    return Environment().number("API_REQUESTS_AT_ONCE", default=overload.API_REQUESTS_AT_ONCE, least=1)


def main(arguments: list[str]) -> None:
    """Serve until a signal ends it."""
    asked = options(arguments)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    set_start_method("spawn")
    Server(
        target=asked.application,
        address=asked.host,
        port=asked.port,
        workers=asked.workers,
        log_level=LogLevels(asked.log_level),
        unready_for=asked.unready_for,
        drain_for=asked.drain_for,
    ).serve(spawn_target=work)


if __name__ == "__main__":
    main(sys.argv[1:])
