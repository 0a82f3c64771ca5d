"""Works ahead in a side thread: the next item is made while the last one is being used.

Reading, encoding and sending all wait on something other than this interpreter, so two threads keep two cores busy.
One item waits, one is in the making and one in use: memory is bounded by three.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from queue import Empty, Queue
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_STEP = 0.05  # seconds between looks while a thread that is not needed any more comes to its end


class Ahead(Generic[T]):
    """Runs a generator in a thread of its own, start to end; a context manager, and an iterator over the items.

    What the generator raises is raised by the iterator. Leaving early calls `cancel`, which must have the generator
    stop waiting for whatever it waits for, and waits for the thread.
    """

    def __init__(self, items: Generator[T, None, None], *, cancel: Callable[[], None]) -> None:
        self._items = items
        self._cancel = cancel
        self._queue: Queue[T | _End] = Queue(maxsize=1)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        if kind is not None and self._thread.is_alive():
            self._cancel()
        while self._thread.is_alive():
            with suppress(Empty):
                self._queue.get_nowait()  # it may be waiting for a free place
            self._thread.join(_STEP)

    def _run(self) -> None:
        end = _End()
        try:
            with closing(self._items) as items:
                for item in items:
                    self._queue.put(item)
                    if self._left.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            end = _End(error)
        if not self._left.is_set():
            self._queue.put(end)


class _End:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
