"""Single reads and batches of 100 beside Feast's Python feature server: the same rows, from a Valkey each.

Ours are written by a sync, Feast's by its `materialize`. Both servers have one worker on one core, the generator (wrk,
16 connections kept open) and both Valkeys are on the other. Ours checks a token; Feast's has no access control on.
"""

import os
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import api_server, beside_feast, data, machine, syncs
from benchmarks.api_server import CONNECTIONS, Measured, Served
from config.embedded import EmbeddedServer, free_port

ROWS, SIZES, BODIES = 1_000, (1, 100), 20
STARTS_WITHIN = 120.0  # seconds: Feast loads pandas and more, and the rows
COLUMNS = ("user_main_id", "subscribed", "score", "last_seen", "plan")
FEATURES = [
    *COLUMNS,
    *(f"{kind}_{n}" for kind, most in (("visits", 6), ("amount", 4), ("segment", 4)) for n in range(most)),
]


@dataclass
class Side:
    """One of the two that are compared: what runs it, and its request for so many people."""

    name: str
    serve: Callable[[dict, int], AbstractContextManager[Served]]
    body: Callable[[list[str]], dict]
    headers: dict[str, str]


def run(folder: Path, *, pairs: int, seconds: int) -> None:
    """Print requests/s, those a core (by CPU), p50 and p99 of both, and the ratios (medians of the pairs)."""
    missing = [
        what for what, there in (("wrk", shutil.which("wrk")), (".feast", beside_feast.FEAST.exists())) if not there
    ]
    if missing:
        print(f"\nreads beside Feast: not measured, {' and '.join(missing)} is not installed (make .feast/ready)")
        return
    folder = folder / "beside-feast"
    folder.mkdir()
    with ExitStack() as stack:
        ours = stack.enter_context(_ours(folder))
        feast = stack.enter_context(_feast(folder))
        found: dict[tuple[str, int], list[Measured]] = {
            (side.name, size): [] for side in (ours, feast) for size in SIZES
        }
        for _ in range(pairs):
            for size in SIZES:
                for side in (feast, ours):
                    found[side.name, size].append(_measured(side, size, folder, seconds))
    for size in SIZES:
        _report(found[ours.name, size], found[feast.name, size], size)


def _measured(side: Side, size: int, folder: Path, seconds: int) -> Measured:
    bodies = [
        side.body([f"person{(start * size + n) % ROWS}@example.com" for n in range(size)]) for start in range(BODIES)
    ]
    script = api_server.script_of(folder / "ask.lua", side.headers, bodies)
    with side.serve(bodies[0], size) as served:
        return api_server.measure(served, script, seconds)


def _report(ours: list[Measured], feast: list[Measured], size: int) -> None:
    print(
        f"\n{'single read' if size == 1 else f'batch of {size}'} beside Feast's feature server, {CONNECTIONS} connections, 20 traits"
    )
    for name, measured in (("Activation API", ours), ("Feast", feast)):
        rate, cpu, p50, p99 = (
            statistics.median(getattr(m, what) for m in measured) for what in ("rate", "cpu", "p50", "p99")
        )
        print(
            f"  {name:<16}{rate * size:>10,.0f} profiles/s {size * 1e6 / cpu:>10,.0f} profiles/s a core {cpu / size:>9,.1f} µs CPU/profile"
            f"   p50 {p50:.2f} ms   p99 {p99:.2f} ms"
        )
    pairs = list(zip(ours, feast, strict=True))
    by_cpu, by_rate, latency = (
        statistics.median(each)
        for each in (
            [other.cpu / one.cpu for one, other in pairs],
            [one.rate / other.rate for one, other in pairs],
            [one.p99 / other.p50 for one, other in pairs],
        )
    )
    print(
        f"  a core {by_cpu:.1f} × Feast's by CPU, {by_rate:.1f} × by the clock; our p99 is {latency:.2f} × Feast's p50"
    )


@contextmanager
def _ours(folder: Path) -> Iterator[Side]:
    from accounts.roles import Role
    from tests.activation import world as worlds
    from tests.cast import founder

    member = founder("Beside", "beside@example.com")
    with syncs.broker(), EmbeddedServer(folder / "ours") as server:
        machine.pin(server.pid or 0, 1)
        world = worlds.build(member.actor, server)
        data.build(world.file, rows=ROWS)
        assert world.sync().written == ROWS
        asked = {"entity": "user", "destinationId": world.source.destination.public_id}

        def body(people: list[str]) -> dict:
            ids = [{"type": "email", "value": person} for person in people]
            return {**asked, "id": ids[0]} if len(ids) == 1 else {**asked, "ids": ids}

        headers = {"Authorization": f"Bearer {member.token(Role.ADMIN)}", "Content-Type": "application/json"}

        def serve(first: dict, size: int):
            path = "/v2/activation" if size == 1 else "/v2/activation/batch"
            return api_server.serving("config.wsgi:application", dict(os.environ), first, headers, path=path)

        yield Side("Activation API", serve, body, headers)


@contextmanager
def _feast(folder: Path) -> Iterator[Side]:
    file = folder / "people.parquet"
    beside_feast.write_parquet(folder / "feast.duckdb", file, rows=ROWS)
    headers = {"Content-Type": "application/json"}
    with EmbeddedServer(folder / "feast-online") as server:
        machine.pin(server.pid or 0, 1)

        def body(people: list[str]) -> dict:
            return {"features": [f"{data.VIEW}:{name}" for name in FEATURES], "entities": {"email": people}}

        def serve(first: dict, _: int):
            port = free_port()
            registry = folder / f"registry-{port}"
            registry.mkdir()
            command = [str(beside_feast.FEAST), "-P", str(beside_feast.SCRIPT), str(registry), str(file), str(port)]
            return api_server.running(
                command,
                beside_feast.environment_of(registry),
                f"http://127.0.0.1:{port}/get-online-features",
                first,
                headers,
                told=f"{server.address},password={server.password}\n",
                within=STARTS_WITHIN,
            )

        yield Side("Feast", serve, body, headers)
