"""The yardstick of syncs: `redis-cli --pipe` loading the same bytes, or a raw socket where there is none."""

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from config.embedded import EmbeddedServer

READ = 1 << 20
AT_ONCE = 1_000
NAME = "redis-cli --pipe" if shutil.which("redis-cli") else "raw socket loader"


def write_commands(client, file: Path) -> int:
    """Write the HSET commands of all profiles in a destination, as a raw loader would send them; return their bytes."""
    keys = [key for key in client.scan_iter("*", count=10_000) if b":_activation:" not in key]
    with file.open("wb") as out:
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            with client.pipeline(transaction=False) as pipeline:
                for key in some:
                    pipeline.hgetall(key)
                for key, fields in zip(some, pipeline.execute(), strict=True):
                    out.writelines(_packed(b"HSET", key, field, value) for field, value in fields.items())
    return file.stat().st_size


def load(server: EmbeddedServer, stream: Path) -> float:
    """Load the bytes and return the seconds it took."""
    started = time.perf_counter()
    if shutil.which("redis-cli"):
        with stream.open("rb") as commands:
            subprocess.run(
                ["redis-cli", "-p", str(server.port), "--no-auth-warning", "--pipe"],
                stdin=commands,
                env={"REDISCLI_AUTH": server.password, "PATH": "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin"},
                check=True,
                capture_output=True,
            )
    else:
        _load_by_socket(server, stream)
    return time.perf_counter() - started


def _packed(*words: bytes) -> bytes:
    head = b"*%d\r\n" % len(words)
    return head + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _load_by_socket(server: EmbeddedServer, stream: Path) -> None:
    """Send all bytes and wait for the last reply, as `redis-cli --pipe` does."""
    end = b"end-of-stream"
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(_packed(b"AUTH", server.password.encode()))
        replies = threading.Thread(target=_read_until, args=(link, end))
        replies.start()
        with stream.open("rb") as commands:
            while piece := commands.read(READ):
                link.sendall(piece)
        link.sendall(_packed(b"ECHO", end))
        replies.join()


def _read_until(link: socket.socket, end: bytes) -> None:
    tail = b""
    while end not in tail:
        tail = tail[-len(end) :] + link.recv(READ)
