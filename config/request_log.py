"""What the log says of a request: its method and path, never what opens something.

Links of letters carry their secret in the path, and single sign-on its code in the query.
"""

import re

from django.http import HttpRequest
from django_structlog.middlewares import RequestMiddleware

_SECRET = re.compile(r"(/invitations/[^/]+/|/account/password/reset/key/|/account/email/confirm/)[^/]+")


class RequestLog(RequestMiddleware):
    """django-structlog's, which would write the whole address."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Return the method and the path, its secret cut out."""
        path = _SECRET.sub(r"\1…", request.path)
        return f"{request.method} {path}"
