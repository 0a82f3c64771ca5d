"""Posts to addresses that people typed: signed, to a judged address, within five seconds, following nothing.

The host is resolved once and only a judged address of it is dialled, so a webhook cannot be turned against servers
inside (`projects.warehouses.addresses`). An answer's body is never read. Called by control workers only.
"""

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from projects.warehouses import addresses
from projects.warehouses.addresses import AddressError, AddressPolicy

WITHIN = 5.0
LONGEST_URL = 2000
SIGNATURE_HEADER = "X-Activation-Signature"
_MOST_ADDRESSES = 3
_PORTS = {"https": 443, "http": 80}


class WebhookInvalid(ValueError):
    """The URL cannot be used; the message is fit for the person who typed it."""


class WebhookFailed(Exception):
    """The message was not taken. The text holds nothing of the URL's path, which may be a secret."""


@dataclass(frozen=True)
class Target:
    """Where to post: `path` includes the query."""

    tls: bool
    host: str
    port: int
    path: str


def parse(url: str, *, allow_http: bool) -> Target:
    """Read a webhook's URL. Raises `WebhookInvalid`."""
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise WebhookInvalid(f"A URL has at most {LONGEST_URL:,} plain characters and no blanks.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WebhookInvalid("This is not a URL.") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise WebhookInvalid("Enter a whole URL, e.g. https://hooks.example.com/activation.")
    if parts.scheme == "http" and not allow_http:
        raise WebhookInvalid("Only https:// is used, so that nobody reads alerts on their way.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise WebhookInvalid("Leave out user, password and #fragment; receivers check the signature instead.")
    port = _PORTS[parts.scheme] if port is None else port
    try:
        host, port = addresses.split_host_port(
            f"[{parts.hostname}]:{port}" if ":" in parts.hostname else f"{parts.hostname}:{port}"
        )
    except AddressError as error:
        raise WebhookInvalid(str(error)) from None
    path = parts.path or "/"
    return Target(parts.scheme == "https", host, port, f"{path}?{parts.query}" if parts.query else path)


def signature(secrets: Sequence[str], body: bytes, *, at: int) -> str:
    """Sign a body at a Unix time: `t=<at>,v1=<hex HMAC-SHA256 of "t.body">`, one `v1` for each secret."""
    signed = f"{at}.".encode() + body
    values = (hmac.digest(secret.encode(), signed, hashlib.sha256).hex() for secret in secrets)
    return ",".join((f"t={at}", *(f"v1={value}" for value in values)))


def post(target: Target, body: bytes, headers: Mapping[str, str], *, policy: AddressPolicy) -> None:
    """Post a body; a return means that the receiver took it (2xx). Raises `WebhookFailed`."""
    deadline = time.monotonic() + WITHIN
    try:
        dialled = policy.resolve(target.host, target.port, within=WITHIN)
    except AddressError as error:
        raise WebhookFailed(str(error)) from None
    connection = _Pinned(target, dialled[:_MOST_ADDRESSES], deadline)
    timer = threading.Timer(max(deadline - time.monotonic(), 0), connection.cut)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        status = connection.getresponse().status
        if connection.was_cut:
            raise TimeoutError  # an answer that breaks off reads like a whole one
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebhookFailed(_words(target, error, late=connection.was_cut)) from None
    finally:
        timer.cancel()
        connection.close()
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
        raise WebhookFailed(f"{target.host} answered {status}, a redirect, which is not followed. Enter the final URL.")
    if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's success
        raise WebhookFailed(f"{target.host} answered {status}.")


class _Pinned(http.client.HTTPConnection):
    """A connection to addresses that were judged; certificates are checked against the host's name."""

    def __init__(self, target: Target, dialled: Sequence[str], deadline: float) -> None:
        super().__init__(target.host, target.port, timeout=WITHIN)
        self._tls, self._dialled, self._deadline = target.tls, dialled, deadline
        self.was_cut = False
        self.default_port = _PORTS["https" if target.tls else "http"]

    def connect(self) -> None:
        """Dial the addresses in their order, then greet."""
        self.sock = self._dial()
        if self._tls:
            # The handshake comes after the assignment, so that the deadline can cut it off too.
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()

    def cut(self) -> None:
        """End whatever goes on: a socket's time limit starts anew with each byte that drips in."""
        self.was_cut = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # not TLS's own, which would talk first

    def _dial(self) -> socket.socket:
        failure: OSError = TimeoutError()
        for address in self._dialled:
            left = self._deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return socket.create_connection((address, self.port), timeout=left)
            except OSError as error:
                failure = error
        raise failure


def _words(target: Target, error: Exception, *, late: bool) -> str:
    """Say what went wrong in words of ours: the library's may quote what was sent."""
    if late or isinstance(error, TimeoutError):
        return f"{target.host} did not answer within {WITHIN:g} s."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {target.host} is not valid for it."
    if isinstance(error, ssl.SSLError):
        return f"{target.host} does not speak TLS on port {target.port}."
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens on {target.host}:{target.port}."
    return f"The connection to {target.host} broke ({type(error).__name__})."
