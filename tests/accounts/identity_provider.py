"""An OpenID Connect provider on loopback, with knobs: whom it knows, and what it gets wrong."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

CLIENT, SECRET = "activation", "a client's secret"


class IdentityProvider:
    """Logs in whoever `claims` say, at once; a context manager.

    `refuses` has people turned away at the provider; `broken` has it answer 500 to us.
    """

    def __init__(self, **claims: Any) -> None:
        self.claims: dict[str, Any] = {"sub": "1", "email_verified": True, **claims}
        self.refuses = self.broken = False
        self._challenges: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self._server.server_port}"

    def app(self) -> dict[str, Any]:
        """Return the settings of a client of this provider."""
        settings = {"server_url": self.issuer, "oauth_pkce_enabled": True}
        return {"provider_id": "sso", "name": "Acme ID", "client_id": CLIENT, "secret": SECRET, "settings": settings}

    def authorise(self, address: str) -> str:
        """Do what the provider does when a browser comes by `address`; returns where it sends the browser."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if self.refuses:
            return f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = secrets.token_urlsafe(8)
        self._challenges[code] = asked["code_challenge"]
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _configuration(self, _: dict[str, str]) -> dict[str, Any]:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            **{name: f"{self.issuer}/{path}" for name, path in paths.items()},
        }

    def _token(self, form: dict[str, str]) -> dict[str, Any]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        assert (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        assert self._challenges.pop(form["code"]) == challenge.decode()
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, **self.claims}
        return {"access_token": "token", "token_type": "Bearer", "id_token": jwt.encode(claims, "k" * 32)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self
        pages: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
            "/.well-known/openid-configuration": self._configuration,
            "/token": self._token,
            "/userinfo": lambda _: self.claims,
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, body: str) -> None:
                if urlsplit(self.path).path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.authorise(self.path))
                    self.end_headers()
                    return
                form = {name: values[0] for name, values in parse_qs(body).items()}
                told = json.dumps(pages[self.path](form)).encode()
                self.send_response(500 if provider.broken else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

        return Handler
