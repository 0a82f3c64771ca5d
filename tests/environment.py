"""Gives the tests their environment before Django reads its settings: random secrets, ports, folders.

A pytest plugin (`-p tests.environment`), so that it is imported before pytest-django. Every xdist worker gets its own.
`DATABASE_URL` is left as it is: SQLite unless the caller names a PostgreSQL.
"""

import atexit
import base64
import os
import secrets
import shutil
import tempfile

from config.embedded import free_port


def _key() -> str:
    return "1:" + base64.b64encode(secrets.token_bytes(32)).decode()


FOLDER = tempfile.mkdtemp(prefix="activation-tests-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
BROKER_PORT = free_port()
BROKER_PASSWORD = secrets.token_urlsafe(16)

os.environ.update(
    SECRET_KEY=secrets.token_urlsafe(48),
    ENCRYPTION_KEYS=_key(),
    TOKEN_PEPPERS=_key(),
    SUPPRESSION_KEYS=_key(),
    DATA_DIR=FOLDER,
    BROKER_URL=f"redis://:{BROKER_PASSWORD}@127.0.0.1:{BROKER_PORT}/0",
    CACHE_URL=f"redis://:{BROKER_PASSWORD}@127.0.0.1:{BROKER_PORT}/1",
    ALLOW_PRIVATE_ADDRESSES="1",
    ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
    EMAIL_URL="memory:",
    LOG_LEVEL="WARNING",
    USAGE_WRITTEN_EVERY="0",
    STYLEGUIDE="1",
)
for name in ("SNAPSHOT_DIR", "DUCKDB_DIR", "PUBLIC_URL"):
    os.environ.pop(name, None)
