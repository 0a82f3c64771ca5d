"""Requests to try: the same call in curl, Python and JavaScript, for a source of the reader's own."""

import json
import shlex

from django.conf import settings

from accounts.models import Organisation
from accounts.templatetags.components import Sample
from activation.models import Source

TOKEN_LEFT_OUT = "<token>"  # noqa: S105 - a place to fill in


def typical_source(organisation: Organisation) -> Source | None:
    """Return the source that serves the most profiles: the one a reader most likely wants to try."""
    served = Source.objects.filter(
        destination__organisation=organisation, status=Source.Status.ACTIVE, activation__enabled=True
    )
    return served.select_related("destination").order_by("-base_rows", "pk").first()


def of_source(source: Source, *, token: str = TOKEN_LEFT_OUT) -> list[Sample]:
    """Return a request for a profile of the source in several languages; the id is left to the reader."""
    return _samples(source.entity, source.destination.public_id, source.id_type, token)


def of_nothing_yet(*, token: str = TOKEN_LEFT_OUT) -> list[Sample]:
    """Return the request for an organisation that serves nothing yet: the destination's id is left out too."""
    return _samples("user", "<destination id>", "email", token)


def _samples(entity: str, destination_id: str, id_type: str, token: str) -> list[Sample]:
    url = f"{settings.PUBLIC_URL}/v2/activation"
    request = {"entity": entity, "destinationId": destination_id, "id": {"type": id_type, "value": f"<{id_type}>"}}
    body = json.dumps(request, ensure_ascii=False)
    curl = (
        f"curl -X POST {url} \\\n  -H 'Authorization: Bearer {token}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"
    )
    python = (
        "import json, urllib.request\n\n"
        f"request = urllib.request.Request(\n    {url!r},\n    data=json.dumps({body}).encode(),\n"
        f'    headers={{"Authorization": "Bearer {token}", "Content-Type": "application/json"}},\n)\n'
        'profile = json.load(urllib.request.urlopen(request))["data"]'
    )
    javascript = (
        f'const answer = await fetch("{url}", {{\n  method: "POST",\n'
        f'  headers: {{Authorization: "Bearer {token}", "Content-Type": "application/json"}},\n'
        f"  body: JSON.stringify({body}),\n}});\nconst profile = (await answer.json()).data;"
    )
    return [
        Sample("curl", "bash", curl),
        Sample("Python", "python", python),
        Sample("JavaScript", "javascript", javascript),
    ]
