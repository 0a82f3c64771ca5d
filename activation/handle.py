"""A destination that a process has at hand: who it is, what its sources declare, and the store that reaches it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeAlias, TypeVar

from activation.engine.errors import DestinationError, UnexpectedType
from activation.engine.store import Store
from activation.known_destinations import Names, Views

Fields: TypeAlias = dict[str, bytes]
Answer = TypeVar("Answer")


class DestinationUnavailable(Exception):
    """The destination does not answer, answers too slowly or refuses us. `code` says which."""

    def __init__(self, code: str) -> None:
        super().__init__("The Redis destination cannot be reached at the moment. Try again in a few seconds.")
        self.code = code


class _Told:
    """Has the engine's errors raised as callers are told of them; a key of another kind stays what it is.

    A class, because every read passes here, and a generator's context manager costs six times as much.
    """

    def __enter__(self) -> None: ...

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, DestinationError) and not isinstance(error, UnexpectedType):
            raise DestinationUnavailable(error.code) from None


_TOLD = _Told()


@dataclass(frozen=True)
class Deleted:
    """How many profiles were there and are deleted, and whether every place of the destination acknowledged that."""

    profiles: int
    everywhere: bool


@dataclass(frozen=True)
class Handle:
    """A destination as it was when last looked up, and the store that reaches it. Shared by threads.

    `store` is None when it could not be opened; `unopened` then says why. While the destination moves, `other` reaches
    the place that is not served.
    """

    destination_id: int
    workspace_id: str
    public_id: str
    version: int
    names: Names
    store: Store | None = field(repr=False)
    unopened: str = ""
    other: "Handle | None" = field(default=None, repr=False)
    synced: Views = field(default_factory=dict, repr=False)

    def read(self, key: str) -> dict[str, bytes]:
        """Read a profile: feature view → JSON text, in Redis's order; a key of another kind holds none.

        Raises `DestinationUnavailable`.
        """
        try:
            return self._ask(lambda store: store.read(key))
        except UnexpectedType:
            return {}

    async def read_soon(self, key: str) -> dict[str, bytes]:
        """Return what `read` returns, within the event loop.

        Raises `DestinationUnavailable`, and `NotAtHand` where `read` must answer.
        """
        try:
            with _TOLD:
                return await self._opened().read_soon(key)
        except UnexpectedType:
            return {}

    def read_each(self, keys: Sequence[str], views: Sequence[str] | None) -> list[Fields | DestinationError]:
        """Read profiles, or `views` of them, one pipeline a server; an error stands where one did not answer.

        Raises `DestinationUnavailable` when nothing can be asked at all.
        """
        return self._ask(lambda store: store.read_each(keys, views))

    def any_key(self, beginning: str) -> str | None:
        """Return some key that begins so; None when a few random picks find none. Raises `DestinationUnavailable`."""
        return self._ask(lambda store: store.any_key(beginning))

    def delete(self, keys: Sequence[str]) -> Deleted:
        """Delete keys, also at the other place while the destination moves; that one being away is no error.

        Raises `DestinationUnavailable`.
        """
        profiles = self._ask(lambda store: store.delete(keys))
        try:
            everywhere = self.other is None or self.other.delete(keys).everywhere
        except DestinationUnavailable:
            everywhere = False
        return Deleted(profiles, everywhere)

    def _ask(self, question: Callable[[Store], Answer]) -> Answer:
        with _TOLD:
            return question(self._opened())

    def _opened(self) -> Store:
        if self.store is None:
            raise DestinationUnavailable(self.unopened)
        return self.store

    def close(self) -> None:
        """Close the store; calls under way end first."""
        if self.store is not None:
            self.store.close()
        if self.other is not None:
            self.other.close()
