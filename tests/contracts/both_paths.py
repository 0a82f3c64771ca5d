"""Asks the framework and the thin path the same, to tell whether they answer alike and which of them did."""

import json

from activation.api import fast
from config import wsgi
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


class World:
    """A destination with a profile, a token that may read it, and both ways to ask for it."""

    def __init__(self, member, server, client):
        self.member = member
        self.destination = connected(member, server)
        self.token = member.token()
        self.client = client
        self.handler = Handler()
        self.fast = fast.Reads(self.handler)

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
