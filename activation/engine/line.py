"""A server's line: the one connection that an event loop's reads share (`activation.engine.shared`).

It is opened aside, by a thread, since dialling, TLS and the log-in take several round trips. Until it is open, and
while it cannot be opened, reads go over connections of their own.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from activation.engine.channel import Channel
from activation.engine.errors import DestinationError
from activation.engine.shared import Shared

REST = 0.25


class Line:
    """Keeps the shared connection of one event loop. `open_channel` dials and may take long; `seconds` limit a command.

    All methods but `close` run in the loop.
    """

    def __init__(self, open_channel: Callable[[], Channel], *, seconds: float) -> None:
        self._open_channel = open_channel
        self._seconds = seconds
        self._shared: Shared | None = None
        self._opening: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rests_until = 0.0
        self._closed = False

    def get(self) -> Shared | None:
        """Return the connection; None while there is none, and then one is being opened."""
        if self._shared is not None and self._shared.is_open:
            return self._shared
        if self._opening is None and not self._closed and time.monotonic() >= self._rests_until:
            self._loop = asyncio.get_running_loop()
            self._opening = self._loop.create_task(self._open())
        return None

    def close(self) -> None:
        """Close the connection once nobody waits for a reply; may be called by any thread, and more than once."""
        self._closed = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and all that was open in it
                self._loop.call_soon_threadsafe(self._end)

    async def _open(self) -> None:
        try:
            channel = await asyncio.get_running_loop().run_in_executor(None, self._open_channel)
        except DestinationError:  # who asks over a connection of its own is told
            self._rests_until = time.monotonic() + REST
        else:
            self._shared = Shared(channel, seconds=self._seconds)
        finally:
            self._opening = None
        if self._closed:
            self._end()

    def _end(self) -> None:
        if self._shared is not None:
            self._shared.end()
