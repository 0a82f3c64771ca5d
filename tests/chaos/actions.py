"""What may happen in a history: actions, how often each comes, and how dice choose its arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from activation.models import DeletedProfilesPolicy
from tests.chaos.destination import Return
from tests.chaos.history import History
from tests.chaos.lives import CUTS, Plan, What

Draw = Callable[[Random], Any]

EVERYBODY = [str(number) for number in range(1, 17)]
# Who is deleted by API, which deletes whole keys, and whose keys another program writes to.
OURS, OTHERS = EVERYBODY[:12], EVERYBODY[12:]
PLANS = [None, "", "gold", 'ev"il\\', "zwölf\n☃"]
SHAPES: list[dict[str, object]] = [
    {"bonus": True},
    {"bonus": False},
    {"plan_name": "tariff"},
    {"plan_name": "plan"},
    {"score_type": "BIGINT"},
    {"score_type": "VARCHAR"},
]
# Boundaries where much is at stake, by what their names hold.
KINDS = ["before a command", "after a command", "UPDATE", "commit", "create", "batch"]
MOST_SLEEPERS = 3


@dataclass(frozen=True)
class Action:
    """Something that may happen, `weight` times as often as the rarest, when `when` says that it can."""

    name: str
    weight: int
    when: Callable[[History], object]
    arguments: dict[str, Draw]
    play: Callable[..., bool | None]


ACTIONS: list[Action] = []


def action(
    weight: int = 2, when: Callable[[History], object] = lambda _: True, **arguments: Draw
) -> Callable[[Callable[..., bool | None]], Callable[..., bool | None]]:
    """List a function as an action; each argument is drawn by a function of the dice.

    The function returns False when what it is called for could not be done after all.
    """

    def listed(play: Callable[..., bool | None]) -> Callable[..., bool | None]:
        ACTIONS.append(Action(play.__name__, weight, when, arguments, play))
        return play

    return listed


def one_of(choices: Any) -> Draw:
    """Draw one of these."""
    return lambda dice: dice.choice(list(choices))


def whole(least: int, most: int) -> Draw:
    """Draw a whole number."""
    return lambda dice: dice.randint(least, most)


def some(people: list[str], least: int = 1, most: int = 5) -> Draw:
    """Draw some people, each once."""
    return lambda dice: dice.sample(people, dice.randint(least, min(most, len(people))))


def a_plan(*whats: What, at: int) -> Draw:
    """Draw what happens to a life: at one of its first `at` boundaries, or at one of the first of some kind."""

    def drawn(dice: Random) -> Plan:
        what, length = dice.choice(whats), dice.randint(1, 40)
        where = dice.choice(["", *KINDS])
        return Plan(what, dice.randint(0, 6 if where else at), length, where)

    return drawn


def maybe(draw: Draw) -> Draw:
    """Draw it or nothing."""
    return lambda dice: draw(dice) if dice.random() < 0.5 else None


def takes_writes(history: History) -> bool:
    """Whether the destination is there and takes writes."""
    return history.destination.up and not history.destination.refuses


def a_score(dice: Random) -> int | None:
    """Draw a score, or none."""
    score = dice.randrange(11)
    return score if score < 10 else None


yes_or_no, a_while = one_of([True, False]), whole(0, 4)

# The customer.


@action(4, numbers=some(EVERYBODY), score=a_score, plan=one_of(PLANS))
def put_people(history: History, numbers: list[str], score: int | None, plan: str | None) -> None:
    history.customer.put(numbers, score=score, plan=plan)


@action(4, numbers=some(EVERYBODY))
def remove_people(history: History, numbers: list[str]) -> None:
    history.customer.remove(numbers)


@action(4)
def take_changes_back(history: History) -> None:
    history.customer.take_back()


@action(2, numbers=some(EVERYBODY, 0, 16), score=a_score)
def replace_people(history: History, numbers: list[str], score: int | None) -> None:
    history.customer.replace(numbers, score=score)


@action(3, numbers=some(EVERYBODY), score=a_score, differing=yes_or_no)
def repeat_people(history: History, numbers: list[str], score: int | None, differing: bool) -> None:
    history.customer.repeat(numbers, score=score, differing=differing)


@action(2, number=one_of([None, "", " \t"]))
def spoil_an_id(history: History, number: str | None) -> None:
    history.customer.spoil(number)


@action()
def only_an_ignored_column_changes(history: History) -> None:
    history.customer.run_again()


@action(1, change=one_of(SHAPES))
def change_columns(history: History, change: dict[str, object]) -> None:
    history.customer.reshape(**change)


@action(2, id_type=one_of(["VARCHAR", "INTEGER"]))
def change_the_ids_type(history: History, id_type: str) -> None:
    history.customer.reshape(id_type=id_type)


@action(1, change=one_of([{"exists": False}, {"id_column": "renamed"}]), steps=a_while)
def break_the_view(history: History, change: dict[str, object], steps: int) -> None:
    history.customer.reshape(**change)
    history.heal_later("view", steps)


@action(2, steps=a_while)
def lose_the_warehouse(history: History, steps: int) -> None:
    history.customer.shelf.away = True
    history.heal_later("warehouse", steps)


# Syncs.


@action(full=lambda dice: dice.random() < 0.2, later=yes_or_no)
def start_a_sync(history: History, full: bool, later: bool) -> None:
    history.start(full=full, later=later)


@action()
def finish_a_profiles_run(history: History) -> None:
    history.finish_profiles_run()
    history.crew.tick()


@action(4)
def work(history: History) -> None:
    history.start()
    history.crew.work(rounds=2)


@action(4, steps=whole(1, 4), twice=yes_or_no)
def take_steps(history: History, steps: int, twice: bool) -> None:
    history.advance(steps - 1)
    history.step(twice=twice)


@action(6, before=whole(0, 3), which=whole(0, 2), plan=a_plan(What.CRASH, at=50))
def crash_a_worker(history: History, before: int, which: int, plan: Plan) -> None:
    history.advance(before)
    history.step(which, plan)


@action(3, before=whole(0, 3), which=whole(0, 2), plan=a_plan(*CUTS, at=50))
def cut_a_worker_off(history: History, before: int, which: int, plan: Plan) -> None:
    history.advance(before)
    history.step(which, plan)


@action(
    6,
    when=lambda history: len(history.crew.sleepers) < MOST_SLEEPERS,
    before=whole(0, 3),
    which=whole(0, 2),
    plan=a_plan(What.SLEEP, at=50),
)
def suspend_a_worker(history: History, before: int, which: int, plan: Plan) -> None:
    history.advance(before)
    history.step(which, plan)


@action(6, when=lambda history: history.crew.sleepers, which=whole(0, 2), killed=lambda dice: dice.random() < 0.3)
def wake_a_worker(history: History, which: int, killed: bool) -> None:
    history.crew.wake(which, killed=killed)


@action(4, plan=maybe(a_plan(*What, at=20)))
def give_up_workers(history: History, plan: Plan | None) -> None:
    history.crew.give_up(plan)


@action(2, when=lambda history: history.active)
def stop_a_sync(history: History) -> None:
    history.stop()


@action(3, numbers=some(EVERYBODY, 0, 4), score=a_score)
def confirm_deletes(history: History, numbers: list[str], score: int | None) -> bool:
    history.customer.replace(numbers, score=score)
    history.start()
    history.crew.work(rounds=2)
    if history.waiting:
        history.confirm()
        return True
    return False


@action(4, numbers=some(EVERYBODY), score=a_score, steps=whole(1, 3), back=yes_or_no)
def change_your_mind(history: History, numbers: list[str], score: int | None, steps: int, back: bool) -> None:
    history.customer.put(numbers, score=score, plan="a mistake")
    history.start()
    history.advance(steps)
    if history.active:
        history.stop()
    if back:
        history.customer.take_back()


@action(3, early=yes_or_no, steps=whole(1, 4), stopped=yes_or_no)
def remove_and_return(history: History, early: bool, steps: int, stopped: bool) -> None:
    history.turn_off()
    if early:
        history.turn_on()
    for _ in range(steps):
        history.work_once()
    if not early:
        history.turn_on()
    if stopped and history.active:
        history.stop()


# The API.


@action(4, numbers=some(OURS), plan=maybe(a_plan(What.CRASH, *CUTS, at=20)))
def delete_people(history: History, numbers: list[str], plan: Plan | None) -> None:
    history.delete(numbers, plan)


@action(4, when=lambda history: history.truth.suppressed, which=whole(0, 20))
def lift_a_suppression(history: History, which: int) -> None:
    suppressed = sorted(history.truth.suppressed)
    history.lift(suppressed[which % len(suppressed)])


@action(policy=one_of(DeletedProfilesPolicy))
def choose_a_policy(history: History, policy: DeletedProfilesPolicy) -> None:
    history.set_policy(policy)


# The destination.


@action(1, when=takes_writes)
def flush(history: History) -> None:
    history.flush()


@action(when=takes_writes, number=one_of(OTHERS))
def write_elsewhere(history: History, number: str) -> None:
    history.write_elsewhere(number)


@action(when=takes_writes, number=one_of(EVERYBODY), steps=a_while)
def block_a_key(history: History, number: str, steps: int) -> None:
    history.block(number)
    history.heal_later("keys", steps)


@action(3, when=lambda history: history.destination.up)
def back_up(history: History) -> None:
    history.destination.back_up()


@action(4, when=lambda history: history.destination.up, before=whole(0, 2), lost=whole(1, 2))
def lose_the_last_writes(history: History, before: int, lost: int) -> None:
    if not history.active:
        history.start()
        history.step()
    history.advance(before)
    history.destination.back_up()
    history.advance(lost)
    history.destination.kill(Return.BACKUP)
    history.heal_later("destination", 0)


@action(2, when=lambda history: history.destination.up, how=one_of(Return), steps=a_while)
def kill_the_destination(history: History, how: Return, steps: int) -> None:
    history.destination.kill(how)
    history.heal_later("destination", steps)


@action(when=lambda history: history.destination.up, full=yes_or_no, steps=a_while)
def refuse_writes(history: History, full: bool, steps: int) -> None:
    history.destination.fill_up() if full else history.destination.follow()
    history.heal_later("writes", steps)
