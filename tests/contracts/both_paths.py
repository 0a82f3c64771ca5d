"""Asks the framework and the thin path the same, to tell whether they answer alike and which of them did.

The thin path in both of its ways: by a thread, and within an event loop.
"""

import asyncio
import io
import json
from typing import Any

from granian._granian import RSGIProtocolClosed

from activation.api import fast
from config import wsgi
from config.arrivals import Arrivals
from tests.activation.conftest import connected
from tests.contracts.caller import call

PATH = "/v2/activation"


class Handler:
    """The framework's handler; counts what it was given."""

    def __init__(self):
        self.requests = 0

    def __call__(self, environ, start_response):
        self.requests += 1
        return wsgi.lean(environ, start_response)


class Scope:
    """A request as granian tells it (RSGI)."""

    http_version = "1.1"

    def __init__(self, environ):
        self.method, self.path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        named = [("content-length", "CONTENT_LENGTH"), ("content-type", "CONTENT_TYPE")]
        named += [(name[5:].lower().replace("_", "-"), name) for name in environ if name.startswith("HTTP_")]
        self.headers = {name: environ[key] for name, key in named if environ.get(key)}


class Protocol:
    """The other side of a request: its body, and what was answered."""

    def __init__(self, body, length):
        self._body, self._length = body, length
        self.answer: Any = None

    async def __call__(self):
        try:
            return self._body.read(self._length)
        except OSError as error:
            raise RSGIProtocolClosed from error

    def response_bytes(self, *answer):
        self.answer = answer


class InLoop:
    """A WSGI callable that answers within an event loop, or as a thread does."""

    def __init__(self, handler, loop):
        self._handler, self._loop = fast.Reads(handler), loop
        self._reads = Arrivals(lambda _: None, reads=True)

    def __call__(self, environ, start_response):
        told = environ.get("CONTENT_LENGTH", "")
        protocol = Protocol(environ["wsgi.input"], int(told) if told.isdecimal() else 0)
        left = self._loop.run_until_complete(self._answer(environ, protocol))
        if left is None:
            status, headers, answer = protocol.answer
            start_response(f"{status} ", headers)
            return [answer]
        if left.body is not None:
            environ["wsgi.input"] = io.BytesIO(left.body)
        return self._handler(environ, start_response)

    async def _answer(self, environ, protocol):
        """Ask again when the connection, which is opened aside, is there."""
        left = await self._reads(Scope(environ), protocol)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if left is None or not others:
            return left
        await asyncio.gather(*others)
        if left.body is not None:
            protocol._body = io.BytesIO(left.body)
        return await self._reads(Scope(environ), protocol) or left


class World:
    """A destination with a profile, a token that may read it, and both ways to ask for it."""

    def __init__(self, member, server, client, loop=None):
        self.member = member
        self.destination = connected(member, server)
        self.token = member.token()
        self.client = client
        self.handler = Handler()
        self.fast = fast.Reads(self.handler) if loop is None else InLoop(self.handler, loop)

    def key(self, value, entity="user", id_type="email"):
        return f"{self.destination.workspace_id}:{self.destination.public_id}:{entity}:{id_type}:{value}"

    def plain(self, **changes):
        asked = {"entity": "user", "destinationId": self.destination.public_id, "id": {"type": "email", "value": "x"}}
        return {**asked, **changes}

    def ask(self, application, asked, *, method="POST", path=PATH, **environ):
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        environ = {"HTTP_AUTHORIZATION": f"Bearer {self.token}", **environ}
        return call(method, path, body, application=application, **environ)

    def batch(self, *values, **changes):
        ids = [{"type": "email", "value": value} for value in values]
        return {"entity": "user", "destinationId": self.destination.public_id, "ids": ids, **changes}

    def both(self, asked, **how):
        """Ask the framework first, so that token and destination are remembered, then the thin path."""
        self.ask(wsgi.lean, self.plain())
        return self.ask(wsgi.lean, asked, **how), self.ask(self.fast, asked, **how)

    def left_to_the_framework(self, asked, **how):
        """Tell whether the thin path leaves a request to the framework, and check that the answers are the same.

        Twice, for what is remembered may become a second old between the two of them.
        """
        return self._left(asked, how) and self._left(asked, how)

    def _left(self, asked, how):
        before = self.handler.requests
        framework, thin = self.both(asked, **how)
        for answer in (framework, thin):
            answer.headers.pop("ratelimit-remaining", None)  # each of the two took one
        assert thin == framework
        return self.handler.requests > before
