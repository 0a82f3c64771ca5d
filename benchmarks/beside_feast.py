"""`make bench-feast`: our whole sync beside Feast's `materialize` of the same rows into Redis.

Feast lives in an environment of its own (`.feast`, made by the recipe); its offline store is a Parquet file of the
same 20 columns, decimals as doubles because Feast has none. Both load into a freshly started server, in interleaved
pairs; ours in Celery load processes that have done one sync before, as in production, beside 10,000 suppressions. Feast
converts rows one by one in Python, so it gets fewer rows where the same number would take minutes; what is compared are
rows/s, of the call that loads alone: neither start-up nor Feast's `apply` count.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import duckdb

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from tests import environment  # noqa: F401 - sets the environment before Django reads its settings

FEAST = Path(".feast/bin/python")
SCRIPT = Path(__file__).with_name("feast_materialize.py")
AMOUNTS = ", ".join(f"amount_{n}::DOUBLE AS amount_{n}" for n in range(4))
WITHIN = 1800  # seconds


def main() -> None:
    """Print rows/s of both and their ratio (median of the pairs)."""
    parser = argparse.ArgumentParser(prog="make bench-feast")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--feast-rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()

    import django

    django.setup()

    from django.core.management import call_command

    from benchmarks import machine, syncs

    print(machine.describe())
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory(prefix="activation-bench-") as folder, syncs.broker():
        run(Path(folder), rows=options.rows, feast_rows=options.feast_rows, pairs=options.pairs)


def run(folder: Path, *, rows: int, feast_rows: int, pairs: int) -> None:
    """Measure the pairs: Feast with `feast_rows`, ours with `rows`."""
    from benchmarks import data, syncs
    from config.embedded import EmbeddedServer
    from tests.activation import world as worlds
    from tests.cast import founder

    file = folder / "people.parquet"
    write_parquet(folder / "feast.duckdb", file, rows=feast_rows)
    ours, feast = [], []
    with syncs.load_processes(folder) as workers:
        with EmbeddedServer(folder / "first") as server:
            world = worlds.build(founder("Bench", "bench@example.com").actor, server)
            data.build(world.file, rows=rows)
            syncs.suppress_others(world)
            syncs.sync(world, workers)
        for pair in range(pairs):
            with EmbeddedServer(folder / f"feast-{pair}") as server:
                feast.append(feast_rows / _materialize(folder / f"registry-{pair}", file, server, rows=feast_rows))
            with EmbeddedServer(folder / f"sync-{pair}") as server:
                syncs.start_afresh(world, syncs.one(server))
                run = syncs.sync(world, workers)
                assert run.rows == rows
                ours.append(rows / run.whole)
    ratio = statistics.median(one / other for one, other in zip(ours, feast, strict=True))
    print(f"\nwhole run beside Feast's materialize, 20 columns, {pairs} pairs")
    print(f"  {'Feast materialize':<22}{statistics.median(feast):>12,.0f} rows/s   {feast_rows:,} rows")
    print(f"  {'Activation API':<22}{statistics.median(ours):>12,.0f} rows/s   {rows:,} rows")
    print(f"  {ratio:.1f} × Feast")


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment that Feast runs in: nothing of ours, and a home of its own."""
    return {"PATH": os.defpath, "HOME": str(folder), "FEAST_USAGE": "False"}


def write_parquet(source: Path, file: Path, *, rows: int) -> None:
    """Write the rows as Feast takes them."""
    from benchmarks import data

    data.build(source, rows=rows)
    with duckdb.connect(source, read_only=True) as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE ({AMOUNTS}), TIMESTAMPTZ '2026-01-01 00:00:00Z' AS event_timestamp "
            f"FROM profiles.{data.VIEW}) TO '{file}'"
        )


def _materialize(folder: Path, file: Path, server, *, rows: int) -> float:
    """Have Feast load the file, check that every person arrived, and return the seconds it took."""
    import redis

    folder.mkdir()
    finished = subprocess.run(
        [FEAST, "-P", SCRIPT, folder, file],
        input=f"{server.address},password={server.password}\n",
        env=environment_of(folder),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=WITHIN,
    )
    with redis.Redis.from_url(server.url()) as client:
        assert client.dbsize() == rows, "Feast did not load every row"
    return float(json.loads(finished.stdout.splitlines()[-1])["seconds"])


if __name__ == "__main__":
    main()
