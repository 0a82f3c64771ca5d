"""A full sync beside `redis-cli --pipe` loading the same bytes, in interleaved pairs, each into a fresh server."""

import json
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command

from benchmarks import data
from config.embedded import EmbeddedServer

PIPE_READ = 1 << 20


@dataclass
class Measured:
    """One sync: rows and seconds."""

    rows: int
    load: float
    whole: float


def run(folder: Path, *, rows: int, pairs: int) -> None:
    """Print rows/s of both and their ratios (median of the pairs)."""
    call_command("migrate", verbosity=0)
    with _broker():
        _measure(folder, rows=rows, pairs=pairs)


@contextmanager
def _broker() -> Iterator[None]:
    from tests import environment

    with EmbeddedServer(
        Path(environment.FOLDER) / "broker", port=environment.BROKER_PORT, password=environment.BROKER_PASSWORD
    ):
        yield


def _measure(folder: Path, *, rows: int, pairs: int) -> None:
    from tests.activation import world as worlds
    from tests.cast import founder

    by = founder("Bench", "bench@example.com").actor
    with EmbeddedServer(folder / "first") as server:
        world = worlds.build(by, server)
        data.build(world.file, rows=rows)
        world.sync()
        stream = folder / "commands.resp"
        size = _write_commands(world.redis, stream)
    print(f"\nfull sync of {rows:,} rows of 20 columns, {size / rows:,.0f} bytes a command")
    syncs, pipes = [], []
    for pair in range(pairs):
        with EmbeddedServer(folder / f"pipe-{pair}") as server:
            pipes.append(rows / _pipe(server, stream))
        with EmbeddedServer(folder / f"sync-{pair}") as server:
            syncs.append(_sync(world, server))
    _report(syncs, pipes)


def _report(syncs: list[Measured], pipes: list[float]) -> None:
    pipe = statistics.median(pipes)
    load = statistics.median(s.rows / s.load for s in syncs)
    whole = statistics.median(s.rows / s.whole for s in syncs)
    name = "redis-cli --pipe" if shutil.which("redis-cli") else "raw socket loader"
    print(f"  {name:<22}{pipe:>12,.0f} rows/s   (yardstick)")
    load_ratio = statistics.median(s.rows / s.load / p for s, p in zip(syncs, pipes, strict=True))
    whole_ratio = statistics.median(s.rows / s.whole / p for s, p in zip(syncs, pipes, strict=True))
    print(f"  {'load phase':<22}{load:>12,.0f} rows/s   {load_ratio:.2f} of the yardstick")
    print(f"  {'whole run':<22}{whole:>12,.0f} rows/s   {whole_ratio:.2f} of the yardstick")


def _sync(world, server: EmbeddedServer) -> Measured:
    """Sync into a fresh server: the first run of a source that never ran."""

    from accounts import vault
    from activation.models import RedisDestination, Source, SyncRun

    SyncRun.objects.all().delete()
    Source.objects.update(base_snapshot="", base_rows=0, base_run=None)
    destination = RedisDestination.objects.get()
    destination.settings["address"] = server.address
    destination.credentials = vault.encrypt(json.dumps({"password": server.password}))
    destination.version += 1
    destination.save()
    started = time.perf_counter()
    run = world.work(world.start())
    whole = time.perf_counter() - started
    assert run.state == "succeeded", run.error
    load = (run.finishing_at - run.loading_at).total_seconds()
    return Measured(rows=run.written, load=load, whole=whole)


def _write_commands(client, file: Path) -> int:
    """Write the HSET commands of all profiles in the destination, as a raw loader would send them."""
    with file.open("wb") as out:
        for key in client.scan_iter("*", count=10_000):
            if b":_activation:" not in key:
                for field, value in client.hgetall(key).items():
                    out.write(_packed(b"HSET", key, field, value))
    return file.stat().st_size


def _packed(*words: bytes) -> bytes:
    head = b"*%d\r\n" % len(words)
    return head + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _pipe(server: EmbeddedServer, stream: Path) -> float:
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
        return time.perf_counter() - started
    _pipe_by_socket(server, stream)
    return time.perf_counter() - started


def _pipe_by_socket(server: EmbeddedServer, stream: Path) -> None:
    """Send all bytes and wait for the last reply, as `redis-cli --pipe` does."""
    end = b"end-of-stream"
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(_packed(b"AUTH", server.password.encode()))
        replies = threading.Thread(target=_read_until, args=(link, end))
        replies.start()
        with stream.open("rb") as commands:
            while piece := commands.read(PIPE_READ):
                link.sendall(piece)
        link.sendall(_packed(b"ECHO", end))
        replies.join()


def _read_until(link: socket.socket, end: bytes) -> None:
    tail = b""
    while end not in tail:
        tail = tail[-len(end) :] + link.recv(PIPE_READ)
