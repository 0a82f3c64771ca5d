"""How e-mail leaves, from one address: `smtp://`, `smtps://`, `file:///folder`, `console:` or `memory:`.

Read strictly: a misspelt option must not quietly send passwords or alerts in the clear. Problems never repeat the
address, for it holds a password.
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

FORMAT = (
    "must look like smtp://user:password@host:587 (STARTTLS; ?starttls=0 for a relay without), "
    "smtps://user:password@host:465, file:///folder, console: or memory:."
)
_BACKENDS = "django.core.mail.backends"
_PORTS = {"smtp": 587, "smtps": 465}


class EmailUrlInvalid(ValueError):
    """The address is not one of the kinds that are known, or something in it is not understood."""

    def __init__(self) -> None:
        super().__init__(FORMAT)


@dataclass(frozen=True)
class EmailService:
    """Django's settings of e-mail. `sends` tells whether there is any service at all."""

    backend: str = f"{_BACKENDS}.dummy.EmailBackend"
    sends: bool = False
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False
    folder: str | None = None


def read(text: str) -> EmailService:
    """Read an address; an empty one means that no e-mail is sent. Raises `EmailUrlInvalid`."""
    if not text:
        return EmailService()
    if text in {"console:", "memory:"}:
        name = "console" if text == "console:" else "locmem"
        return EmailService(backend=f"{_BACKENDS}.{name}.EmailBackend", sends=True)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise EmailUrlInvalid from None
    if url.fragment or any(blank in text for blank in " \t\r\n"):
        raise EmailUrlInvalid
    if url.scheme == "file":
        return _file(url)
    if url.scheme in _PORTS:
        return _smtp(url, _PORTS[url.scheme] if port is None else port)
    raise EmailUrlInvalid


def _file(url: SplitResult) -> EmailService:
    if url.netloc or url.query or not url.path.startswith("/") or not url.path.strip("/"):
        raise EmailUrlInvalid
    return EmailService(backend=f"{_BACKENDS}.filebased.EmailBackend", sends=True, folder=unquote(url.path))


def _smtp(url: SplitResult, port: int) -> EmailService:
    tls = url.scheme == "smtps"
    known = {"": True, "starttls=1": True, "starttls=0": False}
    whole_login = (url.username is None) == (url.password is None)
    if not url.hostname or not port or url.path.strip("/") or not whole_login or url.query not in known:
        raise EmailUrlInvalid
    if tls and url.query:
        raise EmailUrlInvalid
    return EmailService(
        backend=f"{_BACKENDS}.smtp.EmailBackend",
        sends=True,
        host=url.hostname,
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        starttls=not tls and known[url.query],
        tls=tls,
    )
