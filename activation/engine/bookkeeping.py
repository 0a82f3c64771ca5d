"""The keys by which a sync knows whether it still may write, and whether the destination still holds what it wrote.

Kinds: `fence` (a hash: partition → who may write it), `run` (the run under way), `witness` (a hash: partition → who
wrote it to its end) and `marker` (the run whose snapshot the destination holds). One server has one of each. In a
cluster each stands under 256 tags, evenly spaced over the slots, so that every primary has its own and the loss of any
one of them shows. A primary that owns none of those slots has a tag in the first slot that it owns; only the beginning
of a run puts a fence and a run key there (docs/adr/0003-small-primaries-have-a-tag-of-their-own.md).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from activation.engine.connection import Deployment
from activation.engine.errors import DestinationBusy, DestinationError, DestinationMisconfigured, ScriptsRefused
from activation.engine.node import Node
from activation.engine.replies import Reply
from activation.engine.scripts import BEGIN, CLOSE, FINISH, MARK, MOVE, Script
from activation.engine.slots import SLOTS, TAGS, spaced_tags, tag_of

RESHARDING_ATTEMPTS = 3  # of a partition, before a primary without a fence counts as one that lost data


class FenceMoved(Exception):
    """Somebody else has the partition by now, or the run was stopped. Nothing was written by this chunk."""

    def __init__(self) -> None:
        super().__init__("This part of the sync was given to another worker, or the sync was stopped.")


class FenceMissing(Exception):
    """The destination lost data: what the run wrote before may be gone too. Nothing was written by this chunk."""

    def __init__(self) -> None:
        super().__init__("The destination lost data during the sync.")


class WitnessMissing(Exception):
    """The destination lost the last writes of some partitions, which must be loaded again. No marker proves them."""

    def __init__(self, partitions: frozenset[int]) -> None:
        super().__init__(f"The destination lost the last writes of {len(partitions)} parts of the sync.")
        self.partitions = partitions


@dataclass(frozen=True)
class Bookkeeping:
    """Whose keys they are: a source of a destination."""

    workspace_id: str
    destination_id: str
    source: str

    def key(self, tag: str, kind: str) -> str:
        """Return the name of a key; the braces are literal."""
        return f"{self.workspace_id}:{self.destination_id}:_activation:{{{tag}}}:{self.source}:{kind}"


@dataclass(frozen=True)
class Claim:
    """A worker's right to write a partition, until the fence moves on."""

    run: str
    run_attempt: int
    partition: int
    partition_attempt: int

    @property
    def text(self) -> str:
        """What the fence must say."""
        return f"{self.run}:{self.run_attempt}:{self.partition_attempt}"


class Ledger:
    """A source's bookkeeping keys in a destination, under all of their tags. Raises `DestinationError` throughout."""

    def __init__(self, deployment: Deployment, bookkeeping: Bookkeeping) -> None:
        self._deployment = deployment
        self._bookkeeping = bookkeeping
        cluster = deployment.settings.cluster_mode
        self._spaced = spaced_tags() if cluster else (tag_of(0),)
        self._begun = frozenset(self._spaced)
        self._known: tuple[list[Node] | None, dict[Node, str]] = (None, {})
        if cluster and "{" in bookkeeping.key("", "").partition(":_activation:")[0]:
            raise DestinationMisconfigured("Ids with braces cannot be synced to a cluster.", code="braces_in_id")

    def key(self, tag: str, kind: str) -> str:
        """Return the name of the key of a kind under a tag."""
        return self._bookkeeping.key(tag, kind)

    def placed(self, claim: Claim) -> list[tuple[str, Node]]:
        """Return every tag with the primary that owns it now, for a partition that is about to be written.

        A primary that got a tag of its own only after the run began has no fence there. For a few attempts of the
        partition that counts as resharding under way, which passes; then as lost data. Raises `FenceMissing`.
        """
        tags = self._tagged()
        own = [tag for tag, _ in tags[len(self._spaced) :]]
        fences = [self.key(tag, "fence") for tag in own]
        begun = self._sound([(key, ("HEXISTS", key, claim.partition)) for key in fences])
        if not all(begun):
            if claim.partition_attempt > RESHARDING_ATTEMPTS:
                raise FenceMissing
            raise self._resharding()
        self._begun = frozenset((*self._spaced, *own))
        return tags

    def fence_of(self, node: Node) -> str:
        """Return the fence's key that a primary owns now. Call `placed` first."""
        if not self._deployment.settings.cluster_mode:
            return self._bookkeeping.key(self._spaced[0], "fence")
        owners = self._deployment.owners()
        if self._known[0] is not owners:
            self._known = (owners, {owner: tag for tag, owner in self._tagged() if tag in self._begun})
        tag = self._known[1].get(node)
        if tag is None:
            raise self._resharding()
        return self._bookkeeping.key(tag, "fence")

    def _resharding(self) -> DestinationBusy:
        self._deployment.expire()
        return DestinationBusy("The cluster is moving slots: a primary owns too few of them yet.", code="resharding")

    def _tagged(self) -> list[tuple[str, Node]]:
        """Return the spaced tags, then one for each primary that owns none of their slots, with their primaries."""
        if not self._deployment.settings.cluster_mode:
            return [(self._spaced[0], self._deployment.primaries()[0])]
        owners, spacing = self._deployment.owners(), SLOTS // TAGS
        spaced = [(tag, owners[index * spacing]) for index, tag in enumerate(self._spaced)]
        covered = {node for _, node in spaced}
        small = [node for node in dict.fromkeys(owners) if node not in covered]
        return [*spaced, *((tag_of(owners.index(node)), node) for node in small)]

    def begin(
        self, run: str, run_attempt: int, partitions: int, partition_attempt: int, still_ours: Callable[[], bool]
    ) -> None:
        """Set up the run's key and fences; see `Loader.begin`.

        A worker may sleep before its words reach the server, for longer than its run lasts in other hands. So each tag
        is looked at first, then the claim, and nothing is set up where anything is different by then.
        """
        tags = self._tags()
        runs, markers = self._texts("run", tags), self._texts("marker", tags)
        if not still_ours():
            raise FenceMoved
        commands: list[tuple[str, tuple[str | int, ...]]] = []
        for tag, current, marker in zip(tags, runs, markers, strict=True):
            keys = [self.key(tag, kind) for kind in ("fence", "run", "witness", "marker")]
            arguments = (run, run_attempt, partitions, partition_attempt, current or "", marker or "")
            commands.append((keys[0], ("EVAL", BEGIN.text, len(keys), *keys, *arguments)))
        begun = self._sound(commands)
        if 0 in begun:
            raise FenceMoved
        if -1 in begun:
            raise FenceMissing

    def move(self, claim: Claim, *, reopen: bool) -> bool:
        """Move a partition's fence forward; tell whether it stands at the claim everywhere."""
        wanted = (claim.partition, claim.run, claim.run_attempt, claim.partition_attempt)
        moved = self._run(MOVE, ("fence",), *wanted, int(reopen))
        # A small primary's own tag may be younger than the run: without a fence nobody writes there, so it is moved.
        return all(reply == 1 or (reply < 0 and at >= len(self._spaced)) for at, reply in enumerate(moved))

    def close(self, run: str, run_attempt: int, partitions: int) -> None:
        """Close the fences of a run's attempt."""
        self._run(CLOSE, ("fence",), run, run_attempt, partitions)

    def run_is_there(self, run: str) -> bool:
        """Tell whether the run's key is on every primary still."""
        texts = self._texts("run", self._tags())
        return all(text is not None and text.rpartition(":")[0] == run for text in texts)

    def marker(self) -> str | None:
        """Return the run that every primary was marked with, or None when one of them lacks it."""
        markers = set(self._texts("marker", self._tags()))
        return markers.pop() if len(markers) == 1 else None

    def mark(self, run: str, base: str | None, witnesses: Mapping[int, str]) -> None:
        """Check every primary and mark it with a run; see `Loader.set_marker`."""
        replies = self._run(MARK, ("run", "marker", "witness"), run, base or "", *_compact(witnesses))
        if any(reply[0] == b"lost" for reply in replies):
            raise FenceMissing
        missing = frozenset(int(partition) for _, *partitions in replies for partition in partitions)
        if missing:
            raise WitnessMissing(missing)

    def finish(self, run: str, *, marker: bool = False) -> None:
        """Remove the run's key, fences, witnesses and, asked for, the marker, unless another run has begun."""
        kinds = ("run", "fence", "witness", "marker") if marker else ("run", "fence", "witness")
        self._run(FINISH, kinds, run)

    def _tags(self) -> list[str]:
        return [tag for tag, _ in self._tagged()]

    def _texts(self, kind: str, tags: list[str]) -> list[str | None]:
        keys = [self.key(tag, kind) for tag in tags]
        replies = self._sound([(key, ("GET", key)) for key in keys])
        return [None if reply is None else str(reply.decode()) for reply in replies]

    def _run(self, script: Script, kinds: tuple[str, ...], *arguments: str | int) -> list[Reply]:
        keys = [[self.key(tag, kind) for kind in kinds] for tag in self._tags()]
        return self._sound([(own[0], ("EVAL", script.text, len(own), *own, *arguments)) for own in keys])

    def _sound(self, commands: list[tuple[str, tuple[str | int, ...]]]) -> list[Reply]:
        replies = self._deployment.execute_many(commands)
        for reply in replies:
            if isinstance(reply, DestinationError):
                raise scripts_refused(reply)
        return replies


def _compact(witnesses: Mapping[int, str]) -> Iterator[str]:
    """Yield each text, then the partitions that it is expected of as ranges: `run:1:1`, `0-17 19-4095`."""
    by_text: dict[str, list[int]] = defaultdict(list)
    for partition in sorted(witnesses):
        by_text[witnesses[partition]].append(partition)
    for text, partitions in by_text.items():
        yield text
        yield " ".join(f"{first}-{last}" for first, last in _ranges(partitions))


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the ranges, both ends included, that cover ascending numbers."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def scripts_refused(error: DestinationError) -> DestinationError:
    """Tell a refusal to run scripts from other errors."""
    if error.code in {"noperm", "redis_unknowncommand"}:
        return ScriptsRefused(
            "The Redis user may not run scripts, which every sync needs. Grant it +@scripting, or +eval +evalsha "
            "+script|load, beside +@read +@write on the destination's keys."
        )
    return error
