"""`/metrics` in Prometheus' text format: what this process counted of the API's use. No ids, no names of people.

With `METRICS_TOKEN` whoever scrapes sends it as a bearer token. Without it only programs on this machine are answered.
"""

import hmac
import ipaddress
from collections.abc import Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from accounts.authentication import bearer
from activation import usage
from activation.models.usage import LATENCIES_MS, LATENCY_COLUMNS
from config import queues

_OUTCOMES = {"hits": "hit", "misses": "miss", "errors": "error"}


class _Usage(Collector):
    def collect(self) -> Iterator[Metric]:
        """Yield look-ups, deletes and latencies by destination, entity and id type."""
        labels = ("destination", "entity", "id_type")
        look_ups = CounterMetricFamily("activation_look_ups", "Look-ups of one id", labels=(*labels, "outcome"))
        deletes = CounterMetricFamily("activation_deletes", "Ids asked to be deleted", labels=labels)
        latency = HistogramMetricFamily("activation_look_up_seconds", "How long look-ups took", labels=labels)
        for kind, counts in usage.totals().items():
            of = (kind.destination, kind.entity, kind.id_type)
            for column, outcome in _OUTCOMES.items():
                look_ups.add_metric((*of, outcome), counts[column])
            deletes.add_metric(of, counts["deletes"])
            latency.add_metric(of, _buckets(counts), sum_value=None)
        yield from (look_ups, deletes, latency)

    def describe(self) -> Iterator[Metric]:
        """Nothing is counted before the first request."""
        return iter(())


class _Overload(Collector):
    def collect(self) -> Iterator[Metric]:
        """Yield how many requests were refused because too many came at once."""
        refused = CounterMetricFamily("activation_refused", "Requests refused in overload", labels=("queue",))
        for name, queue in queues.BY_NAME.items():
            refused.add_metric((name,), queue.refused)
        yield refused


REGISTRY.register(_Usage())
REGISTRY.register(_Overload())


def show(request: HttpRequest) -> HttpResponse:
    """Answer a scrape. Raises `Http404` for whoever may not see it."""
    if not _may_see(request):
        raise Http404
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _may_see(request: HttpRequest) -> bool:
    wanted: str = settings.METRICS_TOKEN
    if wanted:
        given = bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _buckets(counts: dict[str, int]) -> list[tuple[str, float]]:
    ends = [*(str(end / 1_000) for end in LATENCIES_MS), "+Inf"]
    found, total = [], 0
    for end, name in zip(ends, LATENCY_COLUMNS, strict=True):
        total += counts[name]
        found.append((end, float(total)))
    return found
