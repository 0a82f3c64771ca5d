"""Where a Redis server is and how it is dialled: resolved once, judged, and that very address dialled."""

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from functools import cached_property

from activation.engine import tls
from activation.engine.redis_settings import RedisSettings
from projects.warehouses.addresses import AddressError, AddressPolicy

LOOK_UP_WITHIN = 1.0
_HOSTNAME_MISMATCH = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


@dataclass
class Endpoint:
    """A server's place. `server_names` are the names of which its certificate must hold one.

    A failed dial forgets the resolved addresses, so that a name that moved is looked up (and judged) anew.
    """

    host: str
    port: int
    policy: AddressPolicy
    tls: ssl.SSLContext | None = None
    server_names: tuple[str, ...] = ()
    _resolved: list[str] = field(default_factory=list, init=False, repr=False)

    @cached_property
    def text(self) -> str:
        """`host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def addresses(self) -> list[str]:
        """Return the judged addresses. Raises `AddressError`."""
        self._resolved = self._resolved or self.policy.resolve(self.host, self.port, within=LOOK_UP_WITHIN)
        return self._resolved

    def dial(self, within: float) -> socket.socket:
        """Open a TCP connection, and TLS on it when asked for. Raises `AddressError`, `OSError`."""
        try:
            sock, address = self.dial_tcp(within)
            if self.tls is None:
                return sock
            names = self.server_names or (self.host,)
            for name in names[:-1]:
                try:
                    return self._wrap(sock, name)
                except ssl.SSLCertVerificationError as refused:
                    if refused.verify_code not in _HOSTNAME_MISMATCH:
                        raise
                sock = _tcp(address, self.port, within)
            return self._wrap(sock, names[-1])
        except OSError:
            self._resolved = []
            raise

    def dial_tcp(self, within: float) -> tuple[socket.socket, str]:
        """Open a TCP connection to the first address that answers. Raises `AddressError`, `OSError`."""
        addresses = self.addresses()
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return _tcp(address, self.port, within), address
        return _tcp(addresses[-1], self.port, within), addresses[-1]

    def speaks_plain(self, within: float) -> bool:
        """Tell whether the server answers a Redis command that is not encrypted."""
        with contextlib.suppress(OSError, AddressError), self.dial_tcp(within)[0] as sock:
            sock.sendall(b"*1\r\n$4\r\nPING\r\n")
            return sock.recv(1) in {b"+", b"-"}
        return False

    def speaks_tls(self, within: float) -> bool:
        """Tell whether the server agrees on TLS when its certificate is not looked at."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            contextlib.suppress(OSError, AddressError),
            self.dial_tcp(within)[0] as sock,
            context.wrap_socket(sock),
        ):
            return True
        return False

    def _wrap(self, sock: socket.socket, name: str) -> socket.socket:
        assert self.tls is not None
        try:
            return self.tls.wrap_socket(sock, server_hostname=name)
        except BaseException:
            sock.close()
            raise


def _tcp(address: str, port: int, within: float) -> socket.socket:
    sock = socket.create_connection((address, port), timeout=within)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def tls_context(settings: RedisSettings) -> ssl.SSLContext | None:
    """Return the TLS that the settings ask for, or None without TLS."""
    if not settings.secure:
        return None
    return tls.context(
        ca_certificate=settings.ca_certificate,
        client_certificate=settings.client_certificate,
        client_key=settings.client_key,
        skip_verify=settings.skip_verify,
    )
