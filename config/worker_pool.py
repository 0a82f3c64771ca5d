"""The pool of a worker's processes, which also after a lost broker gives each no more than one message at a time.

When a connection is lost, Celery 5.7's `AsynPool` forgets messages that a process was given and has not begun, and
takes that process for free. It gets a second one, and when the forgotten one is done, a third: messages then wait for
one process, asleep or at work for long, while others have nothing to do.
"""

from celery.concurrency import asynpool, prefork


class Pool(asynpool.AsynPool):  # type: ignore[misc]  # celery has no types
    """Remembers over a lost connection which processes were given something."""

    def flush(self) -> None:
        """Forget the messages that were not begun, but not who has them."""
        given = [job._write_to for job in self._cache.values() if job._write_to and not job._accepted]  # noqa: SLF001 - no other way
        super().flush()
        there = [process for process in given if self._fileno_to_inq.get(process.inqW_fd) is process]
        self._busy_workers.update(process.inqW_fd for process in there)


class TaskPool(prefork.TaskPool):  # type: ignore[misc]  # as above
    """The prefork pool, made of it."""

    Pool = Pool
