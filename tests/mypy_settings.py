"""The settings with throw-away secrets, for type checking and `makemigrations --check`."""

import os

os.environ.update(
    SECRET_KEY="x",
    ENCRYPTION_KEYS="1:" + "A" * 43 + "=",
    TOKEN_PEPPERS="1:" + "A" * 43 + "=",
    SUPPRESSION_KEYS="1:" + "A" * 43 + "=",
    BROKER_URL="redis://localhost/0",
    CACHE_URL="redis://localhost/1",
    DATABASE_URL="sqlite:///:memory:",
)

from config.settings import *  # noqa: F403 - the whole of it, once the environment is there
