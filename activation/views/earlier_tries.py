"""Connection tests that failed: the next one corrects the form without its secrets being typed anew."""

from typing import Any

from accounts.access import SignedInRequest
from accounts.vault import SecretUnreadable
from activation import probes
from activation.models import DestinationProbe, RedisDestination

_Purpose = DestinationProbe.Purpose


def of(
    request: SignedInRequest, *, purpose: _Purpose = _Purpose.CONNECT, destination: RedisDestination | None = None
) -> DestinationProbe | None:
    """Return the try that a posted form corrects; only whoever typed its secrets may use them again."""
    return DestinationProbe.objects.filter(
        organisation=request.organisation,
        purpose=purpose,
        destination=destination,
        public_id=request.POST.get("earlier", ""),
        requested_by_id=request.user.pk,
    ).first()


def own(request: SignedInRequest, probe: DestinationProbe) -> DestinationProbe | None:
    """Return a try if the person made it: another one corrects it by typing the secrets."""
    return probe if probe.requested_by_id == request.user.pk else None


def kept(probe: DestinationProbe | None) -> dict[str, Any]:
    """Return what a `ServerForm` needs to use an earlier try's secrets again."""
    if probe is None:
        return {}
    try:
        return {"kept": probes.typed_secrets(probe), "kept_for": probe.settings["address"]}
    except SecretUnreadable:
        return {}
