"""Which DuckDB process serves a statement: one that has nothing to do, or a new one.

A statement that runs while another's rows are still being read gets a child of its own. A child that failed to answer,
or whose answer nobody read to its end, is ended. What is left when a warehouse is closed waits for the next one that
this process opens on the same file: a load opens one for every partition, and starting a child costs as much CPU as
loading tens of thousands of rows. A child serves one file all its life, so what one customer's file did to it cannot
reach another's; every statement has a database of its own in any case.
"""

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from projects.warehouses.duckdb_process import FAULTS, Answer, Child

MOST_WAITING = 2

File = tuple[Path, Path]  # a customer's file and the folder of its snapshots


class Waiting:
    """A few children without an open warehouse, the longest waiting first. DuckDB gave back all but 35 MB of each.

    They end by themselves after a while (`duckdb_process.ENDS_AFTER`), and with this process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[tuple[File, Child]] = []

    def keep(self, file: File, child: Child) -> None:
        """Have a child wait; one that failed, was cancelled, or is one too many is ended."""
        with self._lock:
            if not (child.failed or child.cancelled):
                self._children.append((file, child))
                ended = [old for _, old in self._children[:-MOST_WAITING]]
                self._children = self._children[-MOST_WAITING:]
            else:
                ended = [child]
        for one in ended:
            one.close()

    def take(self, file: File) -> Child | None:
        """Return a child that served this file before; None when there is none."""
        with self._lock:
            over = [child for _, child in self._children if not child.ready]
            self._children = [(of, child) for of, child in self._children if child not in over]
            found = next((entry for entry in reversed(self._children) if entry[0] == file), None)
            if found is not None:
                self._children.remove(found)
        for child in over:
            child.close()
        return found[1] if found is not None else None

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            children, self._children = self._children, []
        for _, child in children:
            child.close()

    def forget(self) -> None:
        """Start with none in a forked process: two that ask one child would get each other's answers."""
        self._lock = threading.Lock()  # some other thread may have held it
        children, self._children = self._children, []
        for _, child in children:
            child.forget()


WAITING = Waiting()
atexit.register(WAITING.end)
os.register_at_fork(after_in_child=WAITING.forget)


class Children:
    """The children of one open warehouse."""

    def __init__(self, file: Path, folder: Path) -> None:
        self._file = file, folder
        self._folder = folder
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: list[Child] = []

    @contextlib.contextmanager
    def ask(self, request: Mapping[str, object]) -> Iterator[Answer]:
        """Send a request to a free child. One whose answer was not read to its end is not used again."""
        child = self._take()
        answer: Answer | None = None
        try:
            answer = child.ask(request)
            yield answer
        finally:
            with self._lock:
                self._busy.remove(child)
                reusable = answer is not None and answer.rows is not None and not child.cancelled
                if reusable:
                    child.rest()
                    self._idle.append(child)
            if not reusable:
                child.close()

    def cancel(self) -> None:
        """Stop every statement that runs."""
        with self._lock:
            for child in self._busy:
                child.cancel()

    def close(self) -> None:
        """Let every child go; answers still being read break off."""
        with self._lock:
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.cancel()
        for child in idle:
            WAITING.keep(self._file, child)

    def _take(self) -> Child:
        child = self._rested() or WAITING.take(self._file) or self._start()
        with self._lock:
            self._busy.append(child)
        return child

    def _rested(self) -> Child | None:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is None or child.ready:
            return child
        child.close()
        return self._rested()

    def _start(self) -> Child:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Child(self._folder)
        except OSError as error:
            failure, message = FAULTS["output_unreadable"]
            raise failure(message, detail=type(error).__name__) from None
