"""What keeps a destination from being deleted, each with where to do something about it."""

from dataclasses import dataclass, field

from django.db.models import Q

from activation import moves, removals
from activation.models import Activation, DestinationMove, RedisDestination, Source


@dataclass(frozen=True)
class Holder:
    """A project whose sync is on, or which has profiles in the destination that were not removed."""

    activation: Activation
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True)
class Holders:
    """Everything that holds a destination; falsy when nothing does."""

    projects: list[Holder]
    move: DestinationMove | None
    stuck: frozenset[int] = frozenset()  # sources that cannot be removed as things are, by primary key

    def __bool__(self) -> bool:
        return bool(self.projects or self.move)


def of(destination: RedisDestination) -> Holders:
    """Find what `destinations.delete` would refuse for."""
    left = Source.objects.filter(destination=destination).exclude(status=Source.Status.REMOVED)
    left = left.only("public_id", "activation_id", "entity", "id_type", "feature_view", "status")
    sources = list(left.order_by("entity", "feature_view", "pk"))
    holds = Q(destination=destination, enabled=True) | Q(pk__in={source.activation_id for source in sources})
    activations = Activation.objects.filter(holds).select_related("project")
    holding = {row.pk: Holder(row) for row in activations.only("enabled", "project__name", "project__slug")}
    for source in sources:
        holding[source.activation_id].sources.append(source)
    projects = sorted(holding.values(), key=lambda holder: holder.activation.project.name)
    stuck = removals.stuck(Source.objects.filter(destination=destination)).values_list("pk", flat=True)
    return Holders(projects, moves.open_move(destination), frozenset(stuck))
