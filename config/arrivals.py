"""What the event loop of a server does with a request that arrives: answers it, refuses it, or leaves it to a thread.

It answers plain reads. A thread for each costs more than the read, most of it in changing over: to send, to wait, to
go on. Here reads that come together go to Redis together, and what they need stays warm. They wait in no queue, as a
read keeps nothing from any other; only the newest are refused, when very many are under way.

It refuses what would find no thread (`config.overload`), without one: refusals come at once, however busy threads are.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from granian._granian import RSGIProtocolClosed

from activation.api import fast
from config import departure, overload, queues
from config.body_lengths import is_short
from config.front import Left, headers_of
from config.overload import Queue
from config.server_timing import ASKED

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from activation.handle import Fields, Handle

REQUEST_NAME = re.compile(r"[\x21-\x7e]{1,128}")


class Request:
    """A request of the event loop. See `activation.api.fast.Asking`."""

    hands_on = True

    def __init__(self, headers: Mapping[str, str], protocol: Any) -> None:
        self.headers = headers
        self.raw: bytes | None = None
        self.left = False  # its client, in the middle of the body
        self._protocol = protocol

    async def body(self, _: int) -> bytes:
        """Read the body, which granian ends after its told length. Raises `OSError` when the client leaves."""
        try:
            raw: bytes = await self._protocol()
        except RSGIProtocolClosed as error:
            self.left = True
            raise OSError from error
        self.raw = raw
        return raw

    def read(self, handle: "Handle", key: str) -> "Awaitable[Fields]":
        """Read a profile together with all others."""
        return handle.read_soon(key)


class Arrivals:
    """Counts what is under way. `queue_for` names the queue of a path, none for what never waits.

    `reads` tells whether plain reads are answered here.
    """

    def __init__(self, queue_for: Callable[[str], Queue | None], *, reads: bool) -> None:
        self._queue_for = queue_for
        self._reads = fast.PLAIN_PATHS if reads else frozenset()
        self._reading = 0
        self._in_threads: dict[Queue, int] = {}

    async def __call__(self, scope: Any, protocol: Any) -> Left | None:
        """Answer or refuse a request, and return None; or return what a thread needs to know."""
        path, body = scope.path, None
        if path in self._reads and scope.method == "POST":
            headers = headers_of(scope)
            if ASKED not in headers:
                request = Request(headers, protocol)
                if await self._read(request, scope, protocol) or request.left:
                    return None
                body = request.raw
        queue = self._queue_for(path)
        if queue is None:
            return Left(body)
        if body is None:
            body = await _short_body(scope, protocol)  # before it takes a place: anybody can send one slowly
        if self._in_threads.setdefault(queue, 0) >= queue.most:
            await _refuse(queue, scope, protocol, taken=body is not None)
            return None
        self._in_threads[queue] += 1
        return Left(body, partial(self._ended, queue))

    def _ended(self, queue: Queue) -> None:
        self._in_threads[queue] -= 1

    async def _read(self, request: Request, scope: Any, protocol: Any) -> bool:
        """Answer a plain read, and tell whether it is done."""
        if self._reading >= overload.READS_IN_LOOP:
            await _refuse(queues.api, scope, protocol)
            return True
        self._reading += 1
        try:
            answer = await fast.soon(request)
        finally:
            self._reading -= 1
        if answer is None:
            return False
        status, told, body = answer
        protocol.response_bytes(int(status[:3]), _as_all(told, scope, request.headers), body)
        return True


async def _short_body(scope: Any, protocol: Any) -> bytes | None:
    """Read a body that a thread would get whole (`config.front`); None of others."""
    length = scope.headers.get("content-length") or ""
    if not is_short(length) or scope.headers.get("transfer-encoding"):
        return None
    body: bytes = await protocol()
    return body


async def _refuse(queue: Queue, scope: Any, protocol: Any, *, taken: bool = False) -> None:
    headers = headers_of(scope)
    if is_short(headers.get("CONTENT_LENGTH", "")) and not taken:
        await protocol()
    refusal = queue.refusal(scope.method)
    protocol.response_bytes(int(refusal.status[:3]), _as_all(refusal.headers, scope, headers), refusal.body)


def _as_all(told: list[tuple[str, str]], scope: Any, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Add the headers that answers have whatever they are."""
    name = headers.get("HTTP_X_REQUEST_ID")
    if name is not None and REQUEST_NAME.fullmatch(name):
        told = [*told, ("X-Request-ID", name)]
    if departure.this.under_way and scope.http_version != "2":
        told = [*told, departure.LAST]
    return told
