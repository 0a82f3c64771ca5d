"""Runs the tests that use our database once more, on PostgreSQL: `python -m tests.on_postgresql [pytest's arguments]`.

The cluster is the tests' own and gone afterwards. Tests that never touch our database are left out,
and so is how pages look, which no database changes.
"""

import os
import subprocess
import sys

from tests.postgres import cluster


def main() -> int:
    """Run them and return pytest's exit status."""
    with cluster() as server:
        address = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/postgres"
        command = [sys.executable, "-m", "pytest", "-m", "database and not browser", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": address}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
