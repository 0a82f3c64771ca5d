"""A web or api process is restarted under load without a request that fails."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import machine
from config import serve
from tests.contracts.server import ROOT, ApiServer, running_server

CALLERS = 6
PATIENCE = 120.0  # the tests share the cores with each other, and a start is work
PASS_ON = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "config.serve", *sys.argv[2:]])
"""


@dataclass
class Load:
    """Callers that read all the time, each over a connection that it keeps while it may."""

    server: ApiServer
    port: int
    follows_readiness: bool = False  # as a load balancer does: nothing new goes to who is not ready
    answered: int = 0
    asked_to_leave: int = 0
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._read) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let the callers end, each after an answer."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, *, answers: int) -> None:
        """Wait for so many more answers."""
        wanted, deadline = self.answered + answers, time.monotonic() + PATIENCE
        while self.answered < wanted:
            assert time.monotonic() < deadline, self.failed
            time.sleep(0.01)

    def _read(self) -> None:
        asked = {"entity": "user", "destinationId": self.server.destinations["main"][1]}
        body = json.dumps({**asked, "id": {"type": "email", "value": "nobody"}}).encode()
        headers = {"Authorization": f"Bearer {self.server.tokens['admin']}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        while not self._over.is_set():
            try:
                connection.request("POST", "/v2/activation", body=body, headers=headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(type(error).__name__)
                return
            self.answered += 1
            if answer.status != 200:
                self.failed.append(str(answer.status))
            if answer.getheader("Connection") == "close":
                self.asked_to_leave += 1
                if self.follows_readiness:
                    break
        connection.close()


def workers(pid: int) -> set[int]:
    return {child for child in machine.children(pid) if "spawn_main" in machine.command(child)}


def eventually(told: Callable[[], bool], *, within: float = PATIENCE) -> None:
    deadline = time.monotonic() + within
    while not told():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path: Path, redis_server) -> Iterator[ApiServer]:
    # Long enough for all that a test does in that time on a busy machine.
    options = ("--unready-for", "5", "--drain-for", "60")
    with running_server(tmp_path, redis_server, workers=2, application="config.wsgi:api", options=options) as running:
        yield running


def test_a_hangup_puts_new_workers_in_the_place_of_the_old(server):
    old = workers(server.pid)
    assert len(old) == 2
    with Load(server, server.port) as load:
        load.go_on(answers=50)
        for _ in range(2):
            os.kill(server.pid, signal.SIGHUP)
            eventually(lambda: len(workers(server.pid)) > 2)
            eventually(lambda: len(workers(server.pid)) == 2)
            load.go_on(answers=50)

    assert load.failed == []
    assert load.asked_to_leave >= CALLERS
    assert not old & workers(server.pid)


def test_a_process_that_is_stopped_is_not_ready_first_and_then_lets_its_callers_go(server):
    with Load(server, server.port, follows_readiness=True) as load, http_connection(server.port) as watcher:
        load.go_on(answers=50)
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: readiness(watcher) == (503, "leaving"))
        load.go_on(answers=50)  # what is on its way is answered, on the same connections
        assert not load.asked_to_leave
        eventually(lambda: load.asked_to_leave == CALLERS)

    assert load.failed == []
    watcher.close()
    eventually(lambda: not workers(server.pid))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_whole_restart_behind_a_passed_socket_keeps_callers_waiting_and_fails_none(server):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, Load(server, port_of(listener)) as load:
        for _ in range(2):
            with passed(server, listener) as process:
                load.go_on(answers=50)
                asked_before = load.asked_to_leave
                process.terminate()
                assert process.wait(PATIENCE) == 0
                assert load.asked_to_leave > asked_before
        with passed(server, listener):
            load.go_on(answers=50)
            load.end()
    assert load.failed == []


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="elsewhere a poller forgets a descriptor that is replaced")
def test_a_door_that_is_shut_leaves_its_callers_to_others_and_wakes_nobody():
    with socket.create_server(("127.0.0.1", 0)) as ours, ours.dup() as others, select.epoll() as poller:
        poller.register(ours, select.EPOLLIN | select.EPOLLET)
        serve.shut_door(ours.fileno())
        with socket.create_connection(others.getsockname()):
            assert not poller.poll(0.1)
            with pytest.raises(BlockingIOError):
                ours.accept()
            others.accept()[0].close()


@contextmanager
def passed(server: ApiServer, listener: socket.socket) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process that is given the listener as systemd gives it."""
    options = ("--api", "--workers", "2", "--unready-for", "0", "--drain-for", "30", "--log-level", "error")
    process = subprocess.Popen(
        [sys.executable, "-c", PASS_ON, str(listener.fileno()), *options],
        cwd=ROOT,
        env=server.environment,
        pass_fds=[listener.fileno()],
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def http_connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def readiness(connection: http.client.HTTPConnection) -> tuple[int, str]:
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())["status"]
