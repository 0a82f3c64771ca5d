"""TLS towards destinations: whose certificate is trusted, and the certificate we show, both from PEM text in memory.

Python's `ssl` loads a certificate chain from files only. Ours lives in memory (a memfd) or, where there is none, in a
0600 file that is removed as soon as it is read; the key is never left on a disk.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activation.engine.errors import CertificateRefused, ClientCertificateRefused, DestinationError

_NEVER_ASKED = "-"  # OpenSSL would ask for a passphrase on the terminal; it gets this, which fits no key
_MISMATCH = "KEY_VALUES_MISMATCH"
_OF_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR")


class PairRefused(ValueError):
    """A client certificate and key that cannot be used. `field` is `clientCertificate` or `clientKey`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class _Socket(ssl.SSLSocket):
    """A TLS socket that tells why the server hung up.

    In TLS 1.3 a server judges the client's certificate after the client thinks the handshake is over. Its alert may
    be waiting to be read while what we send finds the connection closed already.
    """

    def sendall(self, data: Any, flags: int = 0) -> None:
        try:
            super().sendall(data, flags)
        except (ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):
            self.recv(1)
            raise


def context(
    *, ca_certificate: str, client_certificate: str = "", client_key: str = "", skip_verify: bool = False
) -> ssl.SSLContext:
    """Return how the server's certificate is judged, by the given CA only or by the system's, and what we show.

    Raises `PairRefused`, and `ssl.SSLError` or `ValueError` for a CA certificate that is no PEM text.
    """
    made = ssl.create_default_context(cadata=ca_certificate or None)
    made.sslsocket_class = _Socket
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT  # home-made CAs often lack the newer extensions
    if skip_verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if client_certificate:
        _show(made, client_certificate, client_key)
    return made


def is_pem_certificate(text: str) -> bool:
    """Tell whether a text holds PEM certificates that OpenSSL can read."""
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError, TypeError):  # TypeError: it holds what is not ASCII
        return False
    return True


def check_pair(certificate: str, key: str) -> None:
    """Try a client certificate with its key. Raises `PairRefused`."""
    if not is_pem_certificate(certificate):
        raise PairRefused(
            "clientCertificate",
            "The client certificate is not readable. Paste PEM text, from -----BEGIN CERTIFICATE----- "
            "to -----END CERTIFICATE-----.",
        )
    _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


def refused(error: ssl.SSLError, where: str) -> DestinationError:
    """Say what TLS did not like, and which side refused; OpenSSL's own text names no data."""
    reason = error.reason or "no reason given"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return CertificateRefused(f"The certificate of {where} is not trusted: {why}.")
    if "CERTIFICATE_REQUIRED" in reason:
        return ClientCertificateRefused(f"{where} wants a client certificate.", code="client_certificate_missing")
    if is_about_our_certificate(error):
        return ClientCertificateRefused(f"{where} refuses our client certificate ({reason}).")
    return CertificateRefused(f"{where} does not speak TLS as we do ({reason}).", code="tls_failed")


def is_about_our_certificate(error: ssl.SSLError) -> bool:
    """Tell whether the server sent an alert about the certificate that we showed, or did not show."""
    reason = error.reason or ""
    return "ALERT" in reason and any(part in reason for part in _OF_OUR_CERTIFICATE)


def _show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    try:
        with _as_file(f"{certificate.strip()}\n{key.strip()}\n") as path:
            context.load_cert_chain(path, password=_NEVER_ASKED)
    except ssl.SSLError as error:
        refused = _refusal(key, error.reason or "")
    else:
        return
    raise refused


def _refusal(key: str, reason: str) -> PairRefused:
    if reason == _MISMATCH:
        return PairRefused("clientKey", "The client key does not belong to the client certificate.")
    if "ENCRYPTED" in key:
        return PairRefused("clientKey", "The client key is locked by a passphrase. Paste it without one.")
    return PairRefused(
        "clientKey",
        "The client key is not readable. Paste PEM text, from -----BEGIN PRIVATE KEY----- "
        "to -----END PRIVATE KEY-----.",
    )


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Lend the path of a file that holds the text and that nobody else can open."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pem"), "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        yield path
    finally:
        Path(path).unlink()
