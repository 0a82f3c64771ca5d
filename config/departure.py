"""How a web or api process leaves without dropping a request.

HTTP/1.1 lets a client send its next request in the moment in which a server closes the idle connection. So a process
that leaves says `Connection: close` with every answer for a while, and clients go by themselves. Its listener is
another process's business by then (`config.serve`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Departure:
    """What this process has said about its leaving."""

    def __init__(self) -> None:
        self.announced = False  # `/readyz` says so, and everything is answered as before
        self.under_way = False  # every answer is the last of its connection


this = Departure()
LAST = ("Connection", "close")


def last_of_connection(environ: "WSGIEnvironment", start_response: "StartResponse") -> "StartResponse":
    """Return a `start_response` that asks the client to leave. HTTP/2 knows no such header."""
    if environ.get("SERVER_PROTOCOL") == "HTTP/2":
        return start_response

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(status, [*headers, LAST], *more)

    return start
