"""The yardstick of a read: a bare WSGI app that does the same HGETALL with redis-py and splices the same answer.

No token, no validation, no Django: what any server of this kind pays at least. Configured by BARE_REDIS_URL and
BARE_KEY_PREFIX in the environment.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import redis

_client = redis.Redis.from_url(os.environ["BARE_REDIS_URL"], socket_timeout=1, retry=None)
_prefix = os.environ["BARE_KEY_PREFIX"]


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = orjson.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    fields: dict[bytes, bytes] = _client.hgetall(
        f"{_prefix}{body['entity']}:{body['id']['type']}:{body['id']['value']}"
    )  # type: ignore[assignment]  # nothing is decoded
    answer = orjson.dumps(
        {
            "entity": body["entity"],
            "id": body["id"],
            "data": {name.decode(): orjson.Fragment(value) for name, value in fields.items()},
        }
    )
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]
