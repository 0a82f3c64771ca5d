"""The process in which DuckDB works on customers' files; run as a script, never imported by the product.

A DuckDB file decides itself what its views run, so everything here expects a hostile one. The process starts with an
empty environment and imports nothing of ours. Every statement gets a database of its own: first the files it needs are
attached (only paths that the parent chose; the customer's and our snapshots read-only), then the walls go up: no other
file, no extension, no setting can be reached any more, and they cannot be taken down again. Only after that the
customer's views are looked at. DuckDB's messages quote rows and paths, so a fault leaves as one of our own words.

Standard input: one JSON request a line; the process ends when it closes, so it cannot outlive its parent, and after as
many seconds without a request as its argument says. It is started in its spill folder, which goes with it.

    {"customer": [path, catalog] | null, "snapshots": [[path, catalog], …], "output": path | null, "spill": folder,
     "memory_limit": "1GB", "threads": 2, "sql": "…", "parameters": [], "part": [number, of] | null,
     "batch_rows": 10000}

Standard output: frames of one byte (A: a piece of an Arrow IPC stream, R: result, E: error; R and E end the answer), a
length in four bytes and that many bytes. R and E hold JSON: `{"rows": n}` and `{"code", "detail"}`. With `output` the
SELECT becomes the table `data` of a new file; otherwise its rows are streamed. With `part` it is a plain SELECT from
the snapshot, of which only the rows of that part are read: they are cut evenly by their positions.
"""

import contextlib
import io
import json
import os
import queue
import resource
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import duckdb
import pyarrow as pa

OUTPUT = "_made"
HEADER = struct.Struct(">cI")
LARGEST_FRAME = 1 << 24
# Half of DuckDB's blocks and a quarter of its row groups: a partition is read with little of its neighbours (1.12 times
# the snapshot for all of them, in bytes and in rows, where the defaults read 1.25 and 1.5 times; measured).
LAYOUT = "ROW_GROUP_SIZE 30720, BLOCK_SIZE 131072, "
# Looking for what repeats in texts costs a quarter of a snapshot's CPU, to be read once or twice; without it a file is
# two to three times as large (measured).
UNCOMPRESSED = "SET disabled_compression_methods = 'dict_fsst,fsst'"
# Python variables of this process are no tables, and nothing is fetched or loaded.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
WALLS = ("SET enable_external_access = false", "SET lock_configuration = true")


class Frames(io.RawIOBase):
    """Standard output in frames; as a file it takes the pieces of an Arrow stream."""

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=1 << 20)

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        view = memoryview(piece).cast("B")
        for start in range(0, len(view), LARGEST_FRAME):
            self._frame(b"A", view[start : start + LARGEST_FRAME])
        return len(view)

    def flush(self) -> None:
        self._output.flush()

    def end(self, kind: bytes, content: dict[str, object]) -> None:
        """Send the last frame of an answer."""
        self._frame(kind, memoryview(json.dumps(content).encode()))
        self.flush()

    def _frame(self, kind: bytes, content: memoryview) -> None:
        self._output.write(HEADER.pack(kind, len(content)))
        self._output.write(content)


class Fault(Exception):
    """What went wrong in one of our own words, which the parent knows, and DuckDB's class of error."""

    def __init__(self, code: str, error: BaseException) -> None:
        super().__init__(code)
        self.code = code
        self.detail = type(error).__name__


def answer(request: dict[str, Any], frames: Frames) -> None:
    """Carry one request out and send its answer, whatever happens."""
    try:
        with duckdb.connect(":memory:", config=CONFIG) as connection:
            _attach(connection, request)
            _raise_walls(connection)
            rows = _create(connection, request) if request["output"] else _stream(connection, request, frames)
        frames.end(b"R", {"rows": rows})
    except Fault as fault:
        frames.end(b"E", {"code": fault.code, "detail": fault.detail})
    except (duckdb.Error, pa.ArrowException, MemoryError, ValueError, TypeError, RuntimeError) as error:
        frames.end(b"E", {"code": _code(error), "detail": type(error).__name__})


def _attach(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = {_literal(request['spill'])}")
    nowhere = _literal(request["spill"] + "-nowhere")  # the spill folder itself stays reachable, so not there
    for setting in ("extension_directory", "home_directory", "secret_directory"):
        connection.execute(f"SET {setting} = {nowhere}")
    connection.execute(f"SET memory_limit = {_literal(request['memory_limit'])}")
    connection.execute(f"SET threads = {int(request['threads'])}")
    for path, catalog in request["snapshots"]:
        _attach_file(connection, path, catalog, "READ_ONLY, ", trouble="snapshot")
    if request["output"]:
        connection.execute(UNCOMPRESSED)
        _attach_file(connection, request["output"], OUTPUT, LAYOUT, trouble="output")
    if request["customer"]:
        path, catalog = request["customer"]
        _attach_file(connection, path, catalog, "READ_ONLY, ", trouble="file")


def _attach_file(connection: duckdb.DuckDBPyConnection, path: str, catalog: str, mode: str, *, trouble: str) -> None:
    """Attach one file as DuckDB and nothing else (without TYPE, the file's first bytes would choose an extension)."""
    try:
        connection.execute(f"ATTACH {_literal(path)} AS {_quoted(catalog)} ({mode}TYPE duckdb)")
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) and "lock" in str(error).lower():
            raise Fault("busy", error) from None
        if isinstance(error, duckdb.IOException) and "does not exist" in str(error):
            raise Fault(f"{trouble}_missing", error) from None
        raise Fault(f"{trouble}_unreadable", error) from None


def _raise_walls(connection: duckdb.DuckDBPyConnection) -> None:
    for statement in WALLS:
        connection.execute(statement)


def _create(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> int:
    connection.execute(f"CREATE TABLE {OUTPUT}.main.data AS {request['sql']}", request["parameters"])
    counted = connection.execute(f"SELECT count(*) FROM {OUTPUT}.main.data").fetchone()
    connection.execute(f"CHECKPOINT {OUTPUT}")
    connection.execute(f"DETACH {OUTPUT}")
    return int(counted[0]) if counted else 0


def _stream(connection: duckdb.DuckDBPyConnection, request: dict[str, Any], frames: Frames) -> int:
    """Send a query's rows as they come; `sql` streams where `execute` would hold the whole result."""
    relation = connection.sql(request["sql"] + _within(connection, request), params=request["parameters"])
    reader = relation.to_arrow_reader(request["batch_rows"])
    rows = 0
    with pa.ipc.new_stream(frames, reader.schema) as writer:
        for batch in _batches(reader):
            writer.write_batch(batch)
            frames.flush()
            rows += batch.num_rows
    return rows


def _within(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> str:
    """Return the condition for the rows of a part; their numbers stand in it, for DuckDB to leave the others alone."""
    if not request["part"]:
        return ""
    number, of = request["part"]
    name = _quoted(request["snapshots"][0][1])
    [(rows,)] = connection.execute(f"SELECT count(*) FROM {name}.main.data").fetchall()
    return f" WHERE rowid >= {rows * number // of:d} AND rowid < {rows * (number + 1) // of:d}"


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield a reader's batches. In the middle of a result DuckDB's errors are OSErrors, with their class in words."""
    try:
        yield from reader
    except OSError as error:
        raise Fault(_code(error), error) from None


def _code(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, duckdb.PermissionException) or "disabled by configuration" in text:
        return "outside"
    if "Ambiguous reference to catalog or schema" in text:
        return "ambiguous"
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or text.startswith("Out of Memory Error"):
        return "memory"
    if isinstance(error, duckdb.IOException) or text.startswith("IO Error"):
        return "no_space" if "No space left" in text else "io"
    return "interrupted" if isinstance(error, duckdb.InterruptException) else "failed"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _receive(requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Hand requests over; when the parent is gone, end at once, also in the middle of a statement."""
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    _leave()


def _leave() -> NoReturn:
    """End at once, leaving no empty folder behind."""
    with contextlib.suppress(OSError):
        os.rmdir(os.getcwd())  # noqa: PTH106, PTH109 - as little is imported as can be
    os._exit(0)


def main() -> None:
    """Answer requests one after the other until standard input closes, or none has come for long."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    frames = Frames()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    while True:
        try:
            request = requests.get(timeout=float(sys.argv[1]))
        except queue.Empty:
            _leave()
        answer(request, frames)


if __name__ == "__main__":
    main()
