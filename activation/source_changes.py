"""Which sources a change of a project's specification adds and retires, told before it is made."""

from dataclasses import dataclass

from activation.models import Activation, Source
from projects.differences import Difference, Served
from projects.models import Project


@dataclass(frozen=True)
class SourceChanges:
    """`added` are served anew, `returning` were retired earlier, `retired` end.

    `taken` are views whose field another project writes into the same destination, so they get no source here.
    """

    on: bool
    added: tuple[Served, ...] = ()
    returning: tuple[Source, ...] = ()
    retired: tuple[Source, ...] = ()
    taken: tuple[Served, ...] = ()

    @property
    def none(self) -> bool:
        """Whether the sources stay as they are."""
        return not (self.added or self.returning or self.retired or self.taken)


def of(project: Project, difference: Difference) -> SourceChanges:
    """Tell what a difference of the specification does to the project's sources."""
    activation = Activation.objects.filter(project=project, enabled=True).first()
    if activation is None:
        return SourceChanges(on=False)
    own = {_field(source): source for source in activation.sources.order_by("pk")}
    others = Source.objects.filter(destination=activation.destination_id).exclude(activation=activation)
    theirs = {_field(source) for source in others.exclude(status=Source.Status.REMOVED)}
    taken = tuple(view for view in difference.added if view in theirs)
    added = [view for view in difference.added if view not in theirs]
    returning = tuple(own[view] for view in added if view in own)
    return SourceChanges(
        on=True,
        added=tuple(view for view in added if view not in own),
        returning=returning,
        retired=tuple(
            own[view] for view in difference.ended if view in own and own[view].status == Source.Status.ACTIVE
        ),
        taken=taken,
    )


def _field(source: Source) -> Served:
    return Served(source.entity, source.id_type, source.feature_view)
