"""`make bench`: syncs beside a raw loader, reads beside a bare WSGI app, in one run on this machine.

Prints ratios against yardsticks measured in the same run; absolute figures depend on the machine. Rows, pairs and
seconds can be set: `python -m benchmarks --rows 1000000 --pairs 5 --seconds 10`.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from tests import environment  # noqa: F401 - sets the environment before Django reads its settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--cases", default="duckdb,postgresql,cluster", help="which syncs; empty for none")
    parser.add_argument("--no-reads", action="store_true")
    options = parser.parse_args()

    import django

    django.setup()

    from benchmarks import machine, reads, sync_load

    print(machine.describe())
    with tempfile.TemporaryDirectory(prefix="activation-bench-") as folder:
        cases = tuple(case for case in options.cases.split(",") if case)
        if cases:
            sync_load.run(Path(folder), rows=options.rows, pairs=options.pairs, cases=cases)
        if not options.no_reads:
            reads.run(Path(folder), pairs=options.pairs, seconds=options.seconds)


if __name__ == "__main__":
    main()
