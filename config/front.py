"""granian's event loop on one side (RSGI), WSGI callables in threads on the other.

RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md. The loop waits for what clients send
and for what they take, and answers itself what needs no thread (`first`). Everything else gets a thread and the
environment of PEP 3333.
"""

import asyncio
import io
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from granian._granian import RSGIProtocolClosed

from config.body_lengths import is_short

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    # Answers a request, and returns None; or leaves it to a thread, and returns the body that it has read, if any.
    First = Callable[[Any, Any], Awaitable["Left | None"]]

Answer = TypeVar("Answer")
Job: TypeAlias = "tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]"
SENT_AT_ONCE = 1024 * 1024  # bytes of an answer of told length that are put together before they go out


class Left:
    """A request that the loop left to a thread: its body if that was read, and whom to tell when it has ended."""

    def __init__(self, body: bytes | None = None, ended: "Callable[[], None]" = lambda: None) -> None:
        self.body = body
        self.ended = ended


class Front:
    """The RSGI callable of a worker. `threads` is how many requests have a thread at the same time."""

    def __init__(self, handler: "WSGIApplication", *, threads: int, first: "First | None" = None) -> None:
        self._handler = handler
        self._first = first
        self._threads = Threads(threads)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer a request, unless its client leaves."""
        with suppress(RSGIProtocolClosed):
            left = Left() if self._first is None else await self._first(scope, protocol)
            if left is not None:
                try:
                    await self._by_thread(scope, protocol, left.body)
                finally:
                    left.ended()

    async def _by_thread(self, scope: Any, protocol: Any, body: bytes | None) -> None:
        environ = environment(scope)
        loop = asyncio.get_running_loop()
        environ["wsgi.input"] = await _input(environ, protocol, loop) if body is None else io.BytesIO(body)
        exchange = _Exchange(protocol, loop)
        whole = await self._threads.run(loop, partial(exchange.run, self._handler, environ))
        if whole is not None:
            protocol.response_bytes(*whole)


class Threads:
    """Threads that wait for work of an event loop; as many as there was work for at once, up to `most`.

    Half the price of `concurrent.futures`, since only the loop's own thread counts, and without locks. They do not
    keep a process from ending.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._started = self._under_way = 0
        self._work: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]] = (
            SimpleQueue()
        )

    async def run(self, loop: asyncio.AbstractEventLoop, work: "Callable[[], Answer]") -> "Answer":
        """Return what `work` returns, and raise what it raises."""
        future: asyncio.Future[Answer] = loop.create_future()
        self._under_way += 1
        if self._started < min(self._under_way, self._most):
            self._started += 1
            threading.Thread(target=self._serve, name=f"request-{self._started}", daemon=True).start()
        self._work.put((loop, future, work))
        try:
            return await future
        finally:
            self._under_way -= 1

    def _serve(self) -> None:
        while True:
            loop, future, work = self._work.get()
            try:
                done = partial(future.set_result, work())
            except StopIteration:  # no future takes it
                done = partial(future.set_exception, RuntimeError("the handler raised StopIteration"))
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                done = partial(future.set_exception, error)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_unless_cancelled, future, done)
            del loop, future, work, done  # nothing of a request outlives it


def _unless_cancelled(future: "asyncio.Future[Any]", done: Callable[[], None]) -> None:
    if not future.done():
        done()


class _Exchange:
    """One request's way through a thread. Whole answers go back to the loop, others piece by piece."""

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._protocol = protocol
        self._loop = loop
        self._started: tuple[int, list[tuple[str, str]]] | None = None

    def run(
        self, handler: "WSGIApplication", environ: "WSGIEnvironment"
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Ask the handler, in its thread; None when the answer is sent already."""
        body = handler(environ, self._start)
        if isinstance(body, list) and environ["REQUEST_METHOD"] != "HEAD":
            return (*self._head(), b"".join(body))
        try:
            pieces = iter(body)
            first = next(pieces, b"")
            status, headers = self._head()
            if environ["REQUEST_METHOD"] == "HEAD":  # HTTP/2 does not leave a body out by itself
                return status, headers, b""
            if _told_length(headers) <= SENT_AT_ONCE:
                return status, headers, b"".join([first, *pieces])
            self._stream(first, pieces)
            return None
        finally:
            getattr(body, "close", lambda: None)()

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self._started = int(status[:3]), headers
        return None

    def _head(self) -> tuple[int, list[tuple[str, str]]]:
        if self._started is None:
            raise RuntimeError("the handler has not started its answer")
        return self._started

    def _stream(self, first: bytes, pieces: Iterable[bytes]) -> None:
        transport = self._protocol.response_stream(*self._head())
        for piece in chain([first], pieces):
            if piece:
                asyncio.run_coroutine_threadsafe(_sent(transport, piece), self._loop).result()


async def _sent(transport: Any, piece: bytes) -> None:
    await transport.send_bytes(piece)


def _told_length(headers: Iterable[tuple[str, str]]) -> float:
    """Return the length that an answer tells of itself; more than any when it tells none."""
    return next((int(value) for name, value in headers if name.lower() == "content-length"), float("inf"))


async def _input(environ: "WSGIEnvironment", protocol: Any, loop: asyncio.AbstractEventLoop) -> io.BufferedIOBase:
    """Return what a handler reads the body from: all of it, if it is short, else what comes as it comes.

    Of the two lengths that a request may tell, granian goes by the chunks.
    """
    chunked, told = "HTTP_TRANSFER_ENCODING" in environ, environ.get("CONTENT_LENGTH", "0")
    length = None if chunked or not told.isdecimal() else int(told)
    if length == 0:
        return io.BytesIO()
    if not chunked and is_short(told):
        return io.BytesIO(await protocol())
    return io.BufferedReader(_Body(protocol, loop, length))


class _Body(io.RawIOBase):
    """A body that a thread reads while it comes, of a told length or not."""

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop, length: int | None) -> None:
        self._pieces = aiter(protocol)
        self._loop = loop
        self._missing = length
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(asyncio.run_coroutine_threadsafe(self._next(), self._loop).result())
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    async def _next(self) -> bytes:
        """Return the next piece, nothing at the end. Raises `OSError` when there is less than was told."""
        piece = b""
        try:
            while not piece:
                piece = await anext(self._pieces)
        except StopAsyncIteration:
            if self._missing:
                raise OSError("The body broke off.") from None
            return b""
        if self._missing is not None:
            self._missing -= len(piece)
        return piece


def environment(scope: Any) -> "WSGIEnvironment":
    """Return the environment of a request, without its body."""
    host, _, port = scope.server.rpartition(":")
    return {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode(errors="surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        **({"HTTP_HOST": scope.authority} if scope.authority else {}),
        **headers_of(scope),
    }


def headers_of(scope: Any) -> dict[str, str]:
    """Return a request's headers, named as in WSGI; those that came several times are joined (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in scope.headers.items():
        key = _key(name)
        if key in found:
            found[key] += f"{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        else:
            found[key] = value
    found.pop("", None)
    return found


@lru_cache(4_096)
def _key(name: str) -> str:
    """Return a header's name in WSGI; none for one with an underscore, which would pass for one with a hyphen."""
    if "_" in name:
        return ""
    key = name.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
