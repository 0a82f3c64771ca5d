"""A WSGI callable that tells how many objects the garbage collector of its process leaves alone."""

import gc
from collections.abc import Iterable
from typing import TYPE_CHECKING

MANY = 1_000_000

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Application:
    """Answers with the number, once it was prepared."""

    def __init__(self) -> None:
        self._loaded: list[list[int]] = []

    def prepare(self) -> None:
        """Load much."""
        self._loaded = [[number] for number in range(MANY)]

    def __call__(self, _environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer with the number."""
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(gc.get_freeze_count()).encode()]


application = Application()
