"""What *Profile Lookup* shows: traits view by view, told by type, how fresh they are, where they are, and why not.

Everything here is personal data: nothing tells itself in a log.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from accounts.templatetags.components import Sample
from activation import json_texts, samples, standings
from activation.engine import documents, slots
from activation.engine.errors import UnexpectedType
from activation.look_ups import Freshness, LookUp
from activation.models import RedisDestination, Source
from activation.standings import Standing

MOST_TRAITS = 2_000
LONGEST_SHOWN = 240
LONGEST_WHOLE = 20_000
LONGEST_JSON = 200_000


@dataclass(frozen=True, repr=False)
class Trait:
    """A trait: `text` is short, `whole` is there when that is not all. `hidden` by the reader's filter."""

    name: str
    kind: str
    text: str
    at: datetime | None = None
    whole: str = ""
    hidden: bool = False


@dataclass(frozen=True, repr=False)
class ViewShown:
    """A feature view of a profile; `text` is there where it is no object that could be cut into traits."""

    name: str
    traits: tuple[Trait, ...]
    text: str = ""
    freshness: Freshness | None = None
    standing: Standing | None = None
    left_out: int = 0

    @property
    def state(self) -> tuple[str, str]:
        """The state and the word of its badge."""
        if self.standing is None:
            return "neutral", "Not synced by us"
        if self.freshness is None:
            return "working", "First sync under way"
        return ("attention", "Behind") if self.standing.due_since else ("ok", "Fresh")


@dataclass(frozen=True, repr=False)
class ProfileShown:
    """One profile: by which id type it was found, its views, where it is, and the call that answers it."""

    id_type: str
    views: tuple[ViewShown, ...]
    invalid: tuple[str, ...]
    keys: tuple[str, ...]
    command: str
    slots: str
    json: str
    samples: Sequence[Sample]

    @property
    def traits(self) -> int:
        """How many traits are listed."""
        return sum(len(view.traits) for view in self.views)

    @property
    def seen(self) -> int:
        """How many of them the reader's filter leaves."""
        return sum(not trait.hidden for view in self.views for trait in view.traits)


@dataclass(frozen=True, repr=False)
class Shown:
    """The answer to a look-up: what was found, and for each id type that found nothing why."""

    profiles: tuple[ProfileShown, ...]
    nothing: tuple[LookUp, ...]
    unavailable: tuple[str, ...]


def shown(
    destination: RedisDestination, entity: str, found: Sequence[LookUp], *, trait_filter: str, now: datetime
) -> Shown:
    """Lay a look-up out; traits whose names do not hold `trait_filter`, whatever their case, are hidden."""
    there = [each for each in found if each.found]
    sources = Source.objects.filter(
        destination=destination, entity=entity, id_type__in=[each.id.type for each in there]
    ).exclude(status=Source.Status.REMOVED)
    standing_of = {
        (standing.source.id_type, standing.source.feature_view): standing
        for standing in (standings.of_sources(sources, now=now) if there else ())
    }
    return Shown(
        profiles=tuple(_profile(destination, entity, each, standing_of, trait_filter) for each in there),
        nothing=() if there else tuple(each for each in found if each.diagnosis),
        unavailable=tuple(each.id.type for each in found if each.unavailable),
    )


def _profile(
    destination: RedisDestination,
    entity: str,
    found: LookUp,
    standing_of: Mapping[tuple[str, str], Standing],
    trait_filter: str,
) -> ProfileShown:
    views = tuple(
        _view(
            name,
            text.decode(),
            freshness=(found.freshness or {}).get(name),
            standing=standing_of.get((found.id.type, name)),
            trait_filter=trait_filter,
        )
        for name, text in found.features.items()
    )
    settings = destination.settings
    clustered = bool(settings.get("clusterMode"))
    return ProfileShown(
        id_type=found.id.type,
        views=views,
        invalid=found.invalid,
        keys=found.keys,
        command="JSON.GET" if settings.get("useJSONModule") else "HGETALL",
        slots=", ".join(str(slots.slot_of(key)) for key in found.keys) if clustered else "",
        json=_whole(entity, found),
        samples=samples.of_profile(destination, entity, found.id.type, found.id.value),
    )


def _whole(entity: str, found: LookUp) -> str:
    """Return the answer of the API, laid out; its values' texts are as they are in Redis."""
    echo = json.dumps({"type": found.id.type, "value": found.id.value}, ensure_ascii=False)
    data = ",".join(f"{_quoted(name)}:{text.decode()}" for name, text in found.features.items())
    text = json_texts.pretty(f'{{"entity":{_quoted(entity)},"id":{echo},"data":{{{data}}}}}')
    return text if len(text) <= LONGEST_JSON else f"{text[:LONGEST_JSON]}\n… cut here: {len(text):,} characters in all"


def _view(
    name: str, text: str, *, freshness: Freshness | None, standing: Standing | None, trait_filter: str
) -> ViewShown:
    try:
        members = documents.members(text.encode(), "profile")
    except (UnexpectedType, RecursionError):
        return ViewShown(name, (), text=text[:LONGEST_WHOLE], freshness=freshness, standing=standing)
    wanted = trait_filter.casefold()
    traits = tuple(
        _trait(trait, value.decode(), hidden=wanted not in trait.casefold())
        for trait, value in islice(members.items(), MOST_TRAITS)
    )
    return ViewShown(name, traits, freshness=freshness, standing=standing, left_out=len(members) - len(traits))


def _trait(name: str, text: str, *, hidden: bool) -> Trait:
    value = json_texts.value(text)
    nested = value.kind in {"object", "list"}
    longest = json_texts.LONGEST_INLINE if nested else LONGEST_SHOWN
    name = name.encode(errors="replace").decode()
    if len(value.text) <= longest:
        return Trait(name, value.kind, value.text, value.at, hidden=hidden)
    whole = json_texts.pretty(text) if nested else value.text
    if len(whole) > LONGEST_WHOLE:
        whole = f"{whole[:LONGEST_WHOLE]}\n… cut here: {len(whole):,} characters in all"
    return Trait(name, value.kind, f"{value.text[:longest]}…", whole=whole, hidden=hidden)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
