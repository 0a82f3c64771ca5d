"""Finds a person's other ids: through the main id in the newest snapshots of a destination's sources, in the warehouse.

Main ids are a project's own, so each project is asked about the ids that are known by then, and asked again about what
another project found. Where a main view is served the main id is one of a person's ids, too: every project is asked
about one that the caller named, none about one that was found: another project may know somebody else by it. Ids are
personal data: they are in no log, no error and no row but encrypted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from accounts.vault import SecretUnreadable
from activation.claims import Heartbeat
from activation.engine import main_ids, profiles
from activation.engine.main_ids import Carrier
from activation.models import RedisDestination, RunState, Source, SyncRun
from activation.run_faults import fault_of
from activation.run_resources import columns_of, warehouse_of
from projects.specification import from_plain
from projects.warehouses import port

MOST_IDS = 1_000
NEVER_SYNCED, NO_MAIN_ID = "never_synced", "no_main_id"
# What is told, but is no failure: there is nothing that could be asked.
NOTHING_TO_ASK = frozenset({NEVER_SYNCED, NO_MAIN_ID})
_WORDS = {
    NEVER_SYNCED: "The source was never synced, so no snapshot tells whose its ids are.",
    NO_MAIN_ID: "The view has no column {name}, so nothing tells whose its ids are.",
}
_LOADS = (RunState.LOADING, RunState.FINISHING)


@dataclass(frozen=True)
class Missed:
    """A source that could not be looked at, and why; `transient` tells whether trying again may help."""

    source: Source
    code: str
    message: str
    transient: bool = False

    def plain(self) -> dict[str, str]:
        """Return it as a deletion's row keeps it."""
        return {
            "source": self.source.public_id,
            "id_type": self.source.id_type,
            "view": self.source.feature_view,
            "code": self.code,
            "message": self.message,
        }


@dataclass(frozen=True)
class Found:
    """The ids beyond those that were known, as id type and id, and the sources that could not be looked at."""

    ids: tuple[tuple[str, str], ...] = field(repr=False)
    missed: tuple[Missed, ...] = ()

    @property
    def transient(self) -> bool:
        """Tell whether another look may find more."""
        return any(each.transient for each in self.missed)


def find(
    destination: RedisDestination,
    *,
    entity: str,
    named: Sequence[tuple[str, str]],
    found: Sequence[tuple[str, str]] = (),
    most: int,
    heartbeat: Heartbeat,
) -> Found:
    """Look for what else belongs to the person or persons of the ids that were named, `most` at most.

    `found` is what earlier looks have found.
    """
    given, known = frozenset(named), dict.fromkeys((*named, *found))
    search = _Search(heartbeat, dict(known), limit=len(known) + most)
    by_project = _sources(destination, entity)
    by_main_id = {source.id_type for sources in by_project.values() for source in sources if _is_by_main_id(source)}
    asked: dict[int, set[tuple[str, str]]] = {project: set() for project in by_project}
    more = True
    while more and not search.full:
        more = False
        for project, sources in by_project.items():
            askable = [each for each in search.known if each in given or each[0] not in by_main_id]
            news = [each for each in askable if each not in asked[project]]
            if news and heartbeat.ours:
                search.look(sources, news)
                # What the project found itself leads nowhere else in it.
                asked[project] = set(search.known)
                more = True
    return Found(tuple(each for each in search.known if each not in known), tuple(search.missed.values()))


@dataclass
class _Search:
    """What is known so far, in the order it was found; at `limit` ids it ends."""

    heartbeat: Heartbeat
    known: dict[tuple[str, str], None]
    limit: int
    missed: dict[int, Missed] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Tell whether as many ids are known as are looked for."""
        return len(self.known) >= self.limit

    def look(self, sources: Sequence[Source], news: Sequence[tuple[str, str]]) -> None:
        """Look through the sources of one project, which have one warehouse."""
        looked_at = [source for source in sources if source.pk not in self.missed]
        carriers = [(source, each) for source in looked_at for each in self._carriers(source)]
        if not carriers:
            return
        try:
            with warehouse_of(carriers[0][0], self.heartbeat) as warehouse:
                persons = self._persons(warehouse, carriers, news)
                if persons:
                    self._collect(warehouse, carriers, persons)
        except (port.WarehouseError, SecretUnreadable) as error:
            for source, _ in carriers:
                self._miss(source, error)

    def _persons(
        self, warehouse: port.Warehouse, carriers: Sequence[tuple[Source, Carrier]], news: Sequence[tuple[str, str]]
    ) -> list[str]:
        """Return the main ids of the news: each as it is, and as the source normalises it.

        A main id tells the person by itself, also where the main view leaves the row out.
        """
        found: dict[str, None] = {}
        for source, carrier in carriers:
            values = [value for id_type, value in news if id_type == source.id_type]
            steps = tuple(source.normalisation)
            values += [profiles.normalise(value, steps) for value in values]
            if _is_by_main_id(source):
                found |= dict.fromkeys(values)
            if values and source.pk not in self.missed:
                try:
                    mains = main_ids.main_ids(warehouse, carrier, values, most=self.limit)
                except port.WarehouseError as error:
                    self._miss(source, error)
                else:
                    found |= dict.fromkeys(mains)
        return list(found)

    def _collect(
        self, warehouse: port.Warehouse, carriers: Sequence[tuple[Source, Carrier]], persons: Sequence[str]
    ) -> None:
        for source, carrier in carriers:
            if source.pk in self.missed or self.full:
                continue
            try:
                found = main_ids.ids(warehouse, carrier, persons, most=self.limit)
            except port.WarehouseError as error:
                self._miss(source, error)
                continue
            for each in found:
                if not self.full:
                    self.known[source.id_type, each] = None

    def _carriers(self, source: Source) -> Iterator[Carrier]:
        """Yield the source's newest snapshots: its base, and that of a sync which is loading by now."""
        name = _main_id_column(source)
        tables = [(source.base_snapshot, source.columns)] if source.base_snapshot else []
        loading = SyncRun.objects.filter(source=source, state__in=_LOADS).exclude(snapshot="").first()
        if loading is not None and loading.snapshot != source.base_snapshot:
            tables.append((loading.snapshot, loading.columns))
        found = [main_ids.carrier(table, columns_of(columns), name) for table, columns in tables]
        if not any(found):
            code = NO_MAIN_ID if tables else NEVER_SYNCED
            self.missed[source.pk] = Missed(source, code, _WORDS[code].format(name=name))
        yield from filter(None, found)

    def _miss(self, source: Source, error: Exception) -> None:
        """Note a failure; a snapshot that a sync replaced meanwhile only looks like one for good."""
        fault = fault_of(error, run=source.public_id)
        replaced = not Source.objects.filter(pk=source.pk, base_snapshot=source.base_snapshot).exists()
        loading = isinstance(error, port.RelationMissing) and _has_run_since(source)
        self.missed[source.pk] = Missed(source, fault.code, fault.message, fault.transient or replaced or loading)


def _has_run_since(source: Source) -> bool:
    """Tell whether a sync may have dropped a snapshot while it was looked at."""
    return SyncRun.objects.filter(source=source, finished_at=None).exists()


def _sources(destination: RedisDestination, entity: str) -> dict[int, list[Source]]:
    """Return the sources that may have profiles of the entity there, by project."""
    there = Source.objects.filter(destination=destination, entity=entity).exclude(status=Source.Status.REMOVED)
    found: dict[int, list[Source]] = {}
    for source in there.select_related("activation__project__warehouse", "destination").order_by("pk"):
        found.setdefault(source.activation.project_id, []).append(source)
    return found


def _is_by_main_id(source: Source) -> bool:
    """Tell whether the source's ids are the entity's main ids."""
    return source.id_type == _main_id_column(source)


def _main_id_column(source: Source) -> str:
    """Return the name of the column with the entity's main id."""
    specification = source.activation.project.specification
    for entity in from_plain(specification).entities if specification else ():
        if entity.name == source.entity:
            return entity.id_column_name
    return f"{source.entity}_main_id"
