"""A customer's folder of DuckDB files, and warehouses opened on them as a worker would."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from projects.warehouses.duckdb import DuckDBWarehouse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What DUCKDB_DIR names."""
    folder = tmp_path / "warehouses"
    folder.mkdir()
    return folder


@pytest.fixture
def snapshot_dir(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def make_file(folder: Path) -> Callable[..., Path]:
    """Write a DuckDB file as a customer does, by DuckDB itself and under its final name."""

    def make(*statements: str, name: str = "shop.duckdb") -> Path:
        file = folder / name
        with duckdb.connect(str(file), config={"python_enable_replacements": False}) as connection:
            for statement in statements:
                connection.execute(statement)
        return file

    return make


@pytest.fixture
def open_file(folder: Path, snapshot_dir: Path) -> Iterator[Callable[..., DuckDBWarehouse]]:
    """Open a file through the adapter; it is closed after the test."""
    with ExitStack() as stack:

        def open_(file: Path | str, **limits: object) -> DuckDBWarehouse:
            warehouse = DuckDBWarehouse(Path(file), folder=folder, snapshot_dir=snapshot_dir, **limits)  # type: ignore[arg-type]  # memory_limit, threads
            return stack.enter_context(warehouse)

        yield open_
