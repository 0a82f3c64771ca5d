"""What keeps a destination from being deleted, each with where to do something about it."""

from dataclasses import dataclass, field

from activation import moves
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

    def __bool__(self) -> bool:
        return bool(self.projects or self.move)


def of(destination: RedisDestination) -> Holders:
    """Find what `destinations.delete` would refuse for."""
    left = Source.objects.filter(destination=destination).exclude(status=Source.Status.REMOVED)
    holding: dict[int, Holder] = {}
    for activation in destination.activations.filter(enabled=True).select_related("project"):
        holding[activation.pk] = Holder(activation)
    for source in left.select_related("activation__project").order_by("entity", "feature_view", "pk"):
        holder = holding.setdefault(source.activation_id, Holder(source.activation))
        holder.sources.append(source)
    projects = sorted(holding.values(), key=lambda holder: holder.activation.project.name)
    return Holders(projects, moves.open_move(destination))
