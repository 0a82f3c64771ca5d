"""What all tests share: the broker, a destination server, and the cast."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from django.db import connection

from config.embedded import EmbeddedServer
from tests import environment, flushes
from tests.cast import admin, editor, organisation, outsider, stranger, viewer
from tests.chaos import tally
from tests.contracts import counting
from tests.postgres import postgres, postgres_database, shared_database

__all__ = [
    "admin",
    "editor",
    "organisation",
    "outsider",
    "postgres",
    "postgres_database",
    "shared_database",
    "stranger",
    "viewer",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use our database, so that they can be run on another one (`tests.on_postgresql`)."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & {"db", "transactional_db"} or item.get_closest_marker("django_db"):
            item.add_marker("database")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what all test processes did of what is counted."""
    tally.told(terminalreporter)
    counting.told(terminalreporter)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail in CI what would be skipped: a skipped test proves nothing."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def broker() -> Iterator[EmbeddedServer]:
    """The broker and cache that the settings name."""
    folder = Path(environment.FOLDER)
    with EmbeddedServer(
        folder / "broker", port=environment.BROKER_PORT, password=environment.BROKER_PASSWORD
    ) as server:
        yield server


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep SQLite's test database in a file, as in production: in memory, threads see each other's locks as errors."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "tests.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def quick_flushes() -> Iterator[None]:
    """Of what tests commit little is left to delete, thousands of times."""
    with flushes.quick():
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A standalone Valkey with a password, as a customer's destination."""
    with EmbeddedServer(tmp_path_factory.mktemp("destination")) as server:
        yield server
