"""A closed-loop load generator that tells accepted answers from refused ones, which wrk cannot.

Each connection sends its next request as soon as the answer is there, whatever it was. A process of its own, pinned by
the caller: `python -m benchmarks.closed_loop 127.0.0.1 8000 request-file --connections 512 --seconds 10` prints JSON.
"""

import argparse
import json
import select
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

ACCEPTED, REFUSED = b"200", b"503"
_READ = 65_536


@dataclass
class Seen:
    """Latencies in ms by status, requests that got no answer, and how long it all took."""

    latencies: dict[bytes, list[float]] = field(default_factory=dict)
    broken: int = 0
    seconds: float = 0.0

    def summary(self) -> dict[str, float]:
        """Return rates, percentiles and the slowest of both kinds of answers, and what else came."""
        told: dict[str, float] = {}
        for name, status in (("accepted", ACCEPTED), ("refused", REFUSED)):
            found = sorted(self.latencies.pop(status, []))
            told[f"{name}_rate"] = len(found) / self.seconds
            for share in (50, 99):
                told[f"{name}_p{share}"] = found[min(len(found) - 1, len(found) * share // 100)] if found else 0.0
            told[f"{name}_slowest"] = found[-1] if found else 0.0
        return told | {"other": float(sum(map(len, self.latencies.values()))), "broken": float(self.broken)}


def load(host: str, port: int, request: bytes, *, connections: int, seconds: float) -> Seen:
    """Keep all connections busy for some seconds."""
    seen, poll = Seen(), select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}

    def connect() -> None:
        sock = socket.create_connection((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
        sent[sock.fileno()] = time.perf_counter()
        sock.send(request)

    started = time.perf_counter()
    for _ in range(connections):
        connect()
    now = started
    while now - started < seconds:
        for number, _ in poll.poll(0.1):
            try:
                answer = sockets[number].recv(_READ)
            except ConnectionError:
                answer = b""
            now = time.perf_counter()
            if not answer:
                seen.broken += 1
                poll.unregister(number)
                sockets.pop(number).close()
                connect()
                continue
            seen.latencies.setdefault(answer[9:12], []).append((now - sent[number]) * 1000)
            sent[number] = now
            sockets[number].send(request)
        now = time.perf_counter()
    seen.seconds = now - started
    for sock in sockets.values():
        sock.close()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("request", type=Path, help="a file with the request as it goes out")
    parser.add_argument("--connections", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    request = options.request.read_bytes()
    seen = load(options.host, options.port, request, connections=options.connections, seconds=options.seconds)
    print(json.dumps(seen.summary()))


if __name__ == "__main__":
    main()
