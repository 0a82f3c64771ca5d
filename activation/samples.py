"""Requests to try: the same call in curl, Python and JavaScript, for a source of the reader's own."""

import json
import shlex
from dataclasses import dataclass

from django.conf import settings

from accounts.models import Organisation
from accounts.templatetags.components import Sample
from activation.models import RedisDestination, Source

TOKEN_LEFT_OUT = "<token>"  # noqa: S105 - a place to fill in


@dataclass(frozen=True)
class _Bearer:
    """The header with the token, as each language spells it."""

    curl: str
    python: str
    javascript: str
    imports: str = "json, urllib.request"


def typical_source(organisation: Organisation) -> Source | None:
    """Return the source that serves the most profiles: the one a reader most likely wants to try."""
    served = Source.objects.filter(
        destination__organisation=organisation, status=Source.Status.ACTIVE, activation__enabled=True
    )
    return served.select_related("destination").order_by("-base_rows", "pk").first()


def of_source(source: Source, *, token: str = TOKEN_LEFT_OUT) -> list[Sample]:
    """Return a request for a profile of the source in several languages; the id is left to the reader."""
    body = _body(source.entity, source.destination.public_id, source.id_type, f"<{source.id_type}>")
    return _samples(body, _with(token))


def of_profile(destination: RedisDestination, entity: str, id_type: str, value: str) -> list[Sample]:
    """Return the request for one profile, by its id."""
    return _samples(_body(entity, destination.public_id, id_type, value), _with(TOKEN_LEFT_OUT))


def of_nothing_yet(*, token: str = TOKEN_LEFT_OUT) -> list[Sample]:
    """Return the request for an organisation that serves nothing yet: the destination's id is left out too."""
    return _samples(_body("user", "<destination id>", "email", "<email>"), _with(token))


def of_body(body: str) -> list[Sample]:
    """Return the request with this very body in several languages; the token comes from the environment."""
    return _samples(body, _FROM_ENVIRONMENT)


def _with(token: str) -> _Bearer:
    return _Bearer(curl=f"'Authorization: Bearer {token}'", python=f'"Bearer {token}"', javascript=f'"Bearer {token}"')


_FROM_ENVIRONMENT = _Bearer(
    curl='"Authorization: Bearer $TOKEN"',
    python='"Bearer " + os.environ["TOKEN"]',
    javascript='"Bearer " + process.env.TOKEN',
    imports="json, os, urllib.request",
)


def _body(entity: str, destination_id: str, id_type: str, value: str) -> str:
    request = {"entity": entity, "destinationId": destination_id, "id": {"type": id_type, "value": value}}
    return json.dumps(request, ensure_ascii=False)


def _samples(body: str, bearer: _Bearer) -> list[Sample]:
    url = f"{settings.PUBLIC_URL}/v2/activation"
    curl = (
        f"curl -X POST {url} \\\n  -H {bearer.curl} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"
    )
    python = (
        f"import {bearer.imports}\n\n"
        f"request = urllib.request.Request(\n    {url!r},\n    data=json.dumps({body}).encode(),\n"
        f'    headers={{"Authorization": {bearer.python}, "Content-Type": "application/json"}},\n)\n'
        'profile = json.load(urllib.request.urlopen(request))["data"]'
    )
    javascript = (
        f'const answer = await fetch("{url}", {{\n  method: "POST",\n'
        f'  headers: {{Authorization: {bearer.javascript}, "Content-Type": "application/json"}},\n'
        f"  body: JSON.stringify({body}),\n}});\nconst profile = (await answer.json()).data;"
    )
    return [
        Sample("curl", "bash", curl),
        Sample("Python", "python", python),
        Sample("JavaScript", "javascript", javascript),
    ]
