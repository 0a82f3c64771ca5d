"""What a destination's page *Move* tells: where the move is, each source of it, what it waits for, what can be done."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts.templatetags.components import duration_words
from activation import guard, move_steps, run_progress, standings
from activation.models import ACTIVE_STATES, DestinationMove, RunState, Source, SyncRun

_State = DestinationMove.State
_LOOKS = {
    _State.LOADING: "working",
    _State.SWITCHING: "working",
    _State.REMOVING: "working",
    _State.CANCELLING: "working",
    _State.DONE: "ok",
    _State.CANCELLED: "neutral",
}
_WORDS_LOOKS = {
    "Removed": "ok",
    "In step": "ok",
    "Loading": "working",
    "Being removed": "working",
    "Failed": "failed",
    "Stopped": "attention",
}


@dataclass(frozen=True)
class Line:
    """A source of the move: `look` is a badge's state; `progress` is there while its run loads."""

    source: Source
    look: str
    word: str
    run: SyncRun | None
    progress: run_progress.Progress | None
    problem: str

    @property
    def pace(self) -> str:
        """Say how fast the run is and how long it will take."""
        return standings.pace_words(self.progress) if self.progress else ""


@dataclass(frozen=True)
class Phase:
    """A step of the move; `look` is a badge's state."""

    name: str
    look: str
    word: str


@dataclass(frozen=True)
class Told:
    """Everything the page shows of one move."""

    look: str
    word: str
    explanation: str
    phases: list[Phase]
    lines: list[Line]
    waits_for: list[str]
    active: bool
    failed: bool
    before_switch: bool
    may_be_left: bool


def tell(move: DestinationMove, *, now: datetime) -> Told:
    """Gather what the page shows of a move, in a few queries for each of its sources."""
    is_open = move.state in DestinationMove.OPEN
    # What is left where it is concerns nobody any more.
    parts = move_steps.parts(move) if is_open and not move.left_behind else []
    lines = [_line(part, now=now) for part in parts]
    failed = any(part.failed for part in parts)
    waits_for = [*move_steps.waits_for(move), *_asked_again(move, parts, now=now)]
    look, word = _LOOKS[_State(move.state)], str(move.get_state_display())
    if is_open and move.left_behind:
        word = "Ending"
    if failed or waits_for:
        look, word = ("failed", "A sync failed") if failed else ("attention", "Waits")
    return Told(
        look=look,
        word=word,
        explanation=_explain(move, now=now),
        phases=_phases(move, look),
        lines=lines,
        waits_for=waits_for,
        active=is_open,
        failed=failed,
        before_switch=move.state in DestinationMove.BEFORE_SWITCH,
        may_be_left=move.state in {_State.REMOVING, _State.CANCELLING} and not move.left_behind,
    )


def place_words(source: Source, *, removal: bool) -> str:
    """Say at which place a source's runs work while its destination moves; nothing for the place that is served."""
    if source.other_place_of_id is None:
        return ""
    served = source.served.destination
    if served.moves.filter(state=_State.REMOVING).exists():
        return "at the old place"
    return "at the new place" if removal else "into the new place"


def _line(part: move_steps.Part, *, now: datetime) -> Line:
    run = part.run
    look, word = _WORDS_LOOKS.get(part.word, "neutral"), part.word
    if run is not None and run.state == RunState.FAILED and run.error_code == guard.CODE:
        look, word = standings.of_run(run)
    loading = run is not None and run.state == RunState.LOADING
    return Line(
        source=part.source,
        look=look,
        word=word,
        run=run,
        progress=run_progress.of(run, now=now) if run is not None and loading else None,
        problem=run.error if run is not None and (part.failed or run.state in ACTIVE_STATES) else "",
    )


def _asked_again(move: DestinationMove, parts: Iterable[move_steps.Part], *, now: datetime) -> Iterable[str]:
    """Say what could not be asked a moment ago, while nothing else is left to do."""
    if move.not_before <= now or any(part.run is not None and part.run.state in ACTIVE_STATES for part in parts):
        return
    if move.state == _State.LOADING:
        yield f"{move.target} does not say whether it still holds what was loaded. It is asked again within a minute."
    if move.state in {_State.REMOVING, _State.CANCELLING}:
        yield "The warehouse cannot be reached to drop the tables of those syncs. It is tried again within a minute."


def _explain(move: DestinationMove, *, now: datetime) -> str:
    left = "What was loaded was left" if move.state == _State.CANCELLED else "What our syncs wrote was left"
    removed = f"{left} in {{place}}." if move.left_behind else "What our syncs wrote to {place} is removed."
    going = "is left there" if move.left_behind else "is being removed"
    if move.switched_at is not None and now < move.switched_at + move_steps.lingers() and not move.left_behind:
        going = f"is removed once no process can read it any more, {_lingering()} after the switch"
    words = {
        _State.LOADING: (
            f"Full syncs fill {move.target}. Applications read from {move.origin}, and syncs keep it up to date."
        ),
        _State.SWITCHING: (
            f"Everything is loaded. Syncs into {move.origin} wait until {move.target} has caught up; then "
            "applications read from there."
        ),
        _State.REMOVING: (f"Applications read from {move.target}. What our syncs wrote to {move.origin} {going}."),
        _State.CANCELLING: (
            f"Applications go on reading from {move.origin}. What was loaded into {move.target} {going}."
        ),
        _State.DONE: f"Applications read from {move.target}. " + removed.format(place=move.origin),
        _State.CANCELLED: f"Applications read from {move.origin} as before. " + removed.format(place=move.target),
    }
    return words[_State(move.state)]


def _lingering() -> str:
    return duration_words(move_steps.lingers().total_seconds())


def _phases(move: DestinationMove, look: str) -> list[Phase]:
    """Return load, switch and removal, the present one marked; a move that was given up has no such order."""
    present = {_State.LOADING: 0, _State.SWITCHING: 1, _State.REMOVING: 2, _State.DONE: 3}.get(_State(move.state))
    if present is None:
        return []
    last = "Leave the old place" if move.left_behind else "Empty the old place"
    names = ("Load the new place", "Catch up and switch", last)
    marks = [("ok", "done"), (look, "now"), ("neutral", "not begun")]
    found = []
    for number, name in enumerate(names):
        found.append(Phase(name, *marks[(number >= present) + (number > present)]))
    return found
