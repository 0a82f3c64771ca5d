"""Private throw-away PostgreSQL clusters for tests: Debian's own server, a free port of the loopback, no fsync.

Imported by `tests.conftest`, so `postgres` is a fixture everywhere; one cluster per xdist worker, ended at its end.
PostgreSQL refuses to run as root, so then everything is done as Debian's user `postgres`.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from config.embedded import free_port

PROGRAMS = Path("/usr/lib/postgresql")
FOLDERS, PREFIX = "/tmp", "activation-postgres-"  # short, and readable by the user PostgreSQL runs as
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "logging_collector": "off",
    "log_min_messages": "fatal",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running cluster: its superuser may do anything, and connects with a password as everybody does."""

    port: int
    user: str
    password: str
    host: str = "127.0.0.1"

    def connect(self, database: str = "postgres", **changes: object) -> psycopg.Connection:
        """Connect as the superuser with psycopg, in autocommit: for arranging a test, apart from the code under test."""
        settings: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": database,
        }
        return psycopg.connect(**{**settings, **changes}, autocommit=True)  # type: ignore[arg-type]  # psycopg types each keyword apart

    def create_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"warehouse_{secrets.token_hex(4)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database with whoever is connected to it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def empty(owner: psycopg.Connection, *schemas: str) -> None:
    """Make schemas anew: making a database for every test would take longer than the test."""
    for schema in map(sql.Identifier, schemas):
        owner.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        owner.execute(sql.SQL("CREATE SCHEMA {}").format(schema))


def forget(owner: psycopg.Connection, *roles: str) -> None:
    """Drop roles with what is theirs: they belong to the whole cluster, which other tests share."""
    for role in map(sql.Identifier, roles):
        owner.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        owner.execute(sql.SQL("DROP ROLE {}").format(role))


def _program(name: str) -> str:
    found: list[str | None] = [str(path) for path in sorted(PROGRAMS.glob(f"*/bin/{name}"))] or [shutil.which(name)]
    if found[-1] is None:
        raise RuntimeError(f"no {name} below {PROGRAMS} or on the PATH: the tests need a PostgreSQL server's programs")
    return str(found[-1])


def _run(command: Sequence[str]) -> None:
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    outcome = subprocess.run(
        [*as_user, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        timeout=60,
        check=False,
    )
    if outcome.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed: {outcome.stderr.decode(errors='replace')[-500:]}")


def _folder() -> Path:
    """Make a folder that belongs to the user PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=FOLDERS))
    (folder / "owner").write_text(str(os.getpid()))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


def _reap_left_overs() -> None:
    """End the clusters of test runs that were killed: their folders name a process that is no more."""
    for folder in Path(FOLDERS).glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError, RuntimeError):
            owner = int((folder / "owner").read_text())
            if Path(f"/proc/{owner}").exists() or not Path("/proc").exists():
                continue
            _run([_program("pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "-w", "stop"])
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def cluster(**settings: str) -> Iterator[PostgresServer]:
    """Run a private PostgreSQL cluster, up in about a second; `settings` are added to its own."""
    _reap_left_overs()
    folder, server = _folder(), PostgresServer(free_port(), "owner", secrets.token_urlsafe(16))
    data, password_file = folder / "data", folder / "password"
    password_file.write_text(server.password)
    password_file.chmod(0o644 if os.geteuid() == 0 else 0o600)
    try:
        _run(
            [
                _program("initdb"),
                "-D",
                str(data),
                "-U",
                server.user,
                f"--pwfile={password_file}",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ]
        )
        options = " ".join(
            f"-c {name}='{value}'" for name, value in {**OPTIONS, **settings, "port": str(server.port)}.items()
        )
        _run([_program("pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w", "-t", "30", "-o", options, "start"])
        try:
            yield server
        finally:
            _run([_program("pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private PostgreSQL cluster for the tests of one worker."""
    with cluster() as server:
        yield server


@pytest.fixture(scope="module")
def shared_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database that the tests of a module share, each of which empties it."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database, gone after the test."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)
