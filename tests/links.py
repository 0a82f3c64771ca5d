"""A TCP link between a client and a server whose latency can be changed while it is in use."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SILENT = 3600.0


class Link:
    """Passes bytes on after `delay` seconds. New connections are always taken, as by a host that is half dead."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._sockets: list[socket.socket] = []
        self._changed = threading.Condition()
        self._delay = 0.0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def delay(self) -> float:
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        """Change the latency; what is on its way under the old one arrives now."""
        with self._changed:
            self._delay = seconds
            self._changed.notify_all()

    def cut(self) -> None:
        """Break every connection; new ones are taken as before."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def passing(self) -> Iterator["Link"]:
        """Pass bytes on until the block ends."""
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self.delay = 0.0
            for each in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                self._sockets.append(far)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                self._wait()
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait(self) -> None:
        with self._changed:
            asked = self._delay
            self._changed.wait_for(lambda: self._delay != asked, timeout=asked)
