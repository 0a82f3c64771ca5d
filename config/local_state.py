"""What `manage.py up` keeps in `DATA_DIR`: random secrets, ports and the demo's plaintexts, all mode 0600."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.embedded import free_port

SECRETS_FILE = "secrets.json"
DEMO_FILE = "demo.json"
UP_FILE = "up.json"
# The settings that mean "somebody configured this process"; `up`'s own are used only where none of them is set.
REQUIRED = ("SECRET_KEY", "ENCRYPTION_KEYS", "TOKEN_PEPPERS", "SUPPRESSION_KEYS", "BROKER_URL", "CACHE_URL")


def data_dir() -> Path:
    """Return `DATA_DIR`, by default `.data` beside `manage.py`."""
    return Path(os.environ.get("DATA_DIR") or Path(__file__).resolve().parent.parent / ".data").resolve()


def read(name: str) -> dict[str, Any]:
    """Read a file of `DATA_DIR`; {} when it is not there."""
    try:
        values: dict[str, Any] = json.loads((data_dir() / name).read_text())
    except FileNotFoundError:
        return {}
    return values


def write(name: str, values: dict[str, Any]) -> None:
    """Write a file of `DATA_DIR` whole or not at all, readable by its owner only."""
    folder = data_dir()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(values, file, indent=1)
    temporary.replace(folder / name)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other process is in a block of this name, and keep others waiting meanwhile."""
    folder = data_dir()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing is not enough: a child that was forked meanwhile has the file open as well.
            fcntl.flock(lock, fcntl.LOCK_UN)


def secrets_of_up() -> dict[str, Any]:
    """Return `up`'s secrets, made on the first call. Passwords and ports stay the same over restarts."""
    kept = read(SECRETS_FILE)
    if kept.keys() >= _SECRETS:
        return kept
    with alone("secrets"):  # two processes that begin together must agree
        values = _fresh_secrets() | read(SECRETS_FILE)
        write(SECRETS_FILE, values)
    return values


def environment_of_up() -> dict[str, str]:
    """Return the environment that `up`'s own secrets make, and where its e-mail goes."""
    values = secrets_of_up()
    broker = f"redis://:{values['broker']['password']}@127.0.0.1:{values['broker']['port']}"
    return {
        **{name: values[name] for name in REQUIRED if name in values},
        "BROKER_URL": f"{broker}/0",
        "CACHE_URL": f"{broker}/1",
        "EMAIL_URL": "console:",  # into the control worker's log
    }


def _fresh_secrets() -> dict[str, Any]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": _key_set(),
        "TOKEN_PEPPERS": _key_set(),
        "SUPPRESSION_KEYS": _key_set(),
        "broker": {"port": free_port(), "password": secrets.token_urlsafe(24)},
        "destination": {"port": free_port(), "password": secrets.token_urlsafe(24)},
    }


def _key_set() -> str:
    return "1:" + base64.b64encode(secrets.token_bytes(32)).decode()


_SECRETS = frozenset({"SECRET_KEY", "ENCRYPTION_KEYS", "TOKEN_PEPPERS", "SUPPRESSION_KEYS", "broker", "destination"})
