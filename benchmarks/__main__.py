"""`make bench`: syncs beside a raw loader, incremental ones beside full ones, reads beside a bare WSGI app.

All in one run on this machine. Prints ratios against yardsticks measured in the same run; absolute figures depend on
the machine. Parts, rows, pairs and seconds can be set: `python -m benchmarks --parts syncs --rows 1000000 --pairs 5`.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from tests import environment  # noqa: F401 - sets the environment before Django reads its settings

PARTS = (
    "syncs",
    "incremental",
    "workers",
    "busy-reads",
    "profile-memory",
    "reads",
    "batches",
    "feast-reads",
    "overload",
    "pages",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--rows", type=int, default=200_000, help="of the syncs beside redis-cli --pipe")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement of reads")
    parser.add_argument("--cases", default="duckdb,postgresql,cluster", help="which of those syncs")
    parser.add_argument("--incremental-rows", default="1000000", help="one number of rows or several")
    parser.add_argument("--incremental-case", default="duckdb", choices=("duckdb", "postgresql"))
    parser.add_argument("--busy-rows", type=int, default=1_000_000, help="of the parts workers and busy-reads")
    parser.add_argument("--nice", type=int, default=10, help="of the load processes in the part busy-reads")
    options = parser.parse_args()

    import django

    django.setup()

    from django.core.management import call_command

    from benchmarks import machine

    print(machine.describe())
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory(prefix="activation-bench-") as name:
        for measure in (_measure_syncs, _measure_serving):
            measure(Path(name), options.parts.split(","), options)


def _measure_syncs(folder: Path, parts: list[str], options: argparse.Namespace) -> None:
    from benchmarks import busy_reads, incremental, profile_memory, sync_load, workers

    if "syncs" in parts:
        sync_load.run(folder, rows=options.rows, pairs=options.pairs, cases=tuple(options.cases.split(",")))
    if "incremental" in parts:
        sizes = [int(rows) for rows in options.incremental_rows.split(",")]
        incremental.run(folder, rows=sizes, case=options.incremental_case)
    if "workers" in parts:
        workers.run(folder, rows=options.busy_rows, pairs=options.pairs)
    if "busy-reads" in parts:
        asked = {"rows": options.busy_rows, "pairs": options.pairs, "seconds": options.seconds}
        busy_reads.run(folder, **asked, nice=options.nice)
    if "profile-memory" in parts:
        profile_memory.run(folder)


def _measure_serving(folder: Path, parts: list[str], options: argparse.Namespace) -> None:
    from benchmarks import batches, feast_reads, overload, pages, reads

    if "reads" in parts:
        reads.run(folder, pairs=options.pairs, seconds=options.seconds)
    if "batches" in parts:
        batches.run(folder, pairs=options.pairs, seconds=options.seconds)
    if "feast-reads" in parts:
        feast_reads.run(folder, pairs=options.pairs, seconds=options.seconds)
    if "overload" in parts:
        overload.run(folder)
    if "pages" in parts:
        pages.run(folder)


if __name__ == "__main__":
    main()
