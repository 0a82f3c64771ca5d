"""The parent's side of `duckdb_child.py`: starts it with an empty environment and reads its frames.

A child serves one statement at a time; `duckdb_children.py` says which one. It ends by itself some time after its last
statement. Starting one takes about 0.2 s, mostly DuckDB's import.
"""

import contextlib
import fcntl
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from projects.warehouses.port import (
    QueryCancelled,
    QueryFailed,
    RelationMissing,
    WarehouseBusy,
    WarehouseError,
    WarehouseUnreachable,
)

CHILD = Path(__file__).with_name("duckdb_child.py")
SPILL_PREFIX = ".spill-"
# All that the child gets to know of our environment.
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"}
STOP_WITHIN = 5.0
# Seconds after its last answer in which a child may be asked again, and after which it ends by itself: syncs are five
# minutes apart at the closest. Between the two lies all the time that a request may take from here to there.
REUSED_WITHIN = 330.0
ENDS_AFTER = 345.0
PIPE_BYTES = 1 << 18  # four times the usual: rows come with a tenth less CPU on both sides (measured)
_HEADER = struct.Struct(">cI")

FAULTS: Mapping[str, tuple[type[WarehouseError], str]] = {
    "busy": (WarehouseBusy, "Another program is writing to the DuckDB file at the moment."),
    "file_missing": (WarehouseUnreachable, "The DuckDB file is not there."),
    "file_unreadable": (QueryFailed, "The file cannot be read as a DuckDB database."),
    "snapshot_missing": (RelationMissing, "A snapshot is not there any more."),
    "snapshot_unreadable": (QueryFailed, "A snapshot cannot be read."),
    "output_missing": (WarehouseUnreachable, "The snapshot folder cannot be written to."),
    "output_unreadable": (WarehouseUnreachable, "The snapshot folder cannot be written to."),
    "outside": (QueryFailed, "A view reaches outside its own file (files, extensions, settings); that is refused."),
    "ambiguous": (
        QueryFailed,
        "The file is called like a schema in it, so DuckDB cannot tell what its views mean: rename the file.",
    ),
    "memory": (QueryFailed, "The statement needs more memory than DuckDB is allowed to use."),
    "no_space": (WarehouseBusy, "There is no space left on the disk for snapshots."),
    "io": (WarehouseUnreachable, "The DuckDB file could not be read or written."),
    "interrupted": (QueryCancelled, "The statement was cancelled."),
    "failed": (QueryFailed, "The statement failed in DuckDB."),
}


class Answer(io.RawIOBase):
    """The answer to one request as a file: its Arrow bytes, then the end. Reading raises the child's error.

    `rows` is known once the answer has been read to its end.
    """

    def __init__(self, pipe: IO[bytes], child: "Child") -> None:
        self._pipe = pipe
        self._child = child
        self._left = 0
        self.rows: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill `target` with Arrow bytes; 0 at the end of the answer."""
        while self._left == 0 and self.rows is None:
            self._next_frame()
        if self._left == 0:
            return 0
        piece = memoryview(target)[: self._left]
        count = self._pipe.readinto(piece)  # type: ignore[attr-defined]  # a BufferedReader has it
        if not count:
            raise self._child.lost()
        self._left -= count
        return int(count)

    def buffered(self) -> io.BufferedReader:
        """Return the answer as a file that reads as many bytes as it is asked for."""
        return io.BufferedReader(self, 1 << 20)

    def finish(self) -> int:
        """Read to the end of the answer and return how many rows it is about. Raises as reading does."""
        scratch = bytearray(1 << 16)
        while self.readinto(scratch):
            continue
        assert self.rows is not None
        return self.rows

    def _next_frame(self) -> None:
        header = self._pipe.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise self._child.lost()
        kind, length = _HEADER.unpack(header)
        if kind == b"A":
            self._left = length
            return
        content = json.loads(self._pipe.read(length) or b"{}")
        self.rows = int(content.get("rows", 0))
        if kind == b"E":
            self._child.failed = True
            failure, message = FAULTS[content["code"]]
            raise failure(message, detail=content["detail"])


class Child:
    """One child process with a folder of its own to spill to.

    `cancelled` tells that somebody stopped it, `failed` that a statement of its failed.
    """

    def __init__(self, folder: Path) -> None:
        self.cancelled = self.failed = False
        self._answered_at = time.monotonic()
        self.spill = Path(tempfile.mkdtemp(prefix=SPILL_PREFIX, dir=folder))
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(CHILD), str(ENDS_AFTER)],
            env=dict(ENVIRONMENT),
            cwd=self.spill,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is not for it. A session of its own would not be as nice as ours is (sched(7))
        )
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):  # a user may have so much of it and no more
            if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
                fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it may be asked again."""
        return time.monotonic() - self._answered_at < REUSED_WITHIN and self._process.poll() is None

    def rest(self) -> None:
        """Note that its last answer was read to the end."""
        self._answered_at = time.monotonic()

    def ask(self, request: Mapping[str, object]) -> Answer:
        """Send a request. Raises `WarehouseUnreachable` when the child is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({**request, "spill": str(self.spill)}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError:
            raise self.lost() from None
        return Answer(self._process.stdout, self)

    def lost(self) -> WarehouseError:
        """Return why the child fell silent."""
        if self.cancelled:
            return QueryCancelled("The statement was cancelled.")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_WITHIN)
        return WarehouseUnreachable("The DuckDB process ended unexpectedly.", detail=str(self._process.returncode))

    def cancel(self) -> None:
        """Stop what runs by ending the child. May be called from another thread."""
        self.cancelled = True
        self._process.kill()

    def close(self) -> None:
        """End the child and remove its folder."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.spill, ignore_errors=True)

    def forget(self) -> None:
        """Leave the child to the process that started it: this one was forked from that."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.returncode = 0  # it is nobody to wait for here
