"""The state machine by which Hypothesis writes histories: each step throws dice for an action and its arguments.

Hypothesis chooses the numbers the dice begin with, and looks for a shorter history when one fails; how often each
action comes is ours (`tests.chaos.actions`), because left to itself it repeats a few and leaves others out.
"""

import os
import sys
from collections.abc import Callable
from random import Random

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.chaos.actions import ACTIONS, EVERYBODY
from tests.chaos.history import History
from tests.chaos.tally import Tally

NUMBERS = st.integers(0, 2**32 - 1)
# Five of six histories that Hypothesis writes repeat most of another one's numbers. All numbers so far count, so that
# they are other histories nevertheless; but then none can be shortened by leaving a step out.
SHRINK = bool(os.environ.get("CHAOS_SHRINK"))


class Machine(RuleBasedStateMachine):
    """A history as Hypothesis writes it."""

    begin: Callable[[], History]
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.trail = ""
        self.tally.begin()
        self.history = self.begin()

    @initialize(number=NUMBERS)
    def start(self, number: int) -> None:
        """Show some people, and sync them more often than not."""
        self.trail, dice = str(number), Random(number)
        self.history.customer.put(dice.sample(EVERYBODY, dice.randint(4, 16)), score=dice.randrange(10), plan="silver")
        if dice.random() < 0.7:
            self.history.start()
            self.history.crew.work()

    @rule(number=NUMBERS)
    def step(self, number: int) -> None:
        """Let something happen."""
        self.history.heal()
        dice = Random(f"{self.trail} {number}")
        if not SHRINK:
            self.trail += f" {number}"
        possible = [action for action in ACTIONS if action.when(self.history)]
        [action] = dice.choices(possible, [action.weight for action in possible])
        arguments = {name: draw(dice) for name, draw in action.arguments.items()}
        note(f"{action.name}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})")
        done = action.play(self.history, **arguments)
        self.tally.step(action.name if done is not False else f"{action.name} (not possible)")

    def teardown(self) -> None:
        """Compare, unless a step failed, and leave nothing behind."""
        try:
            if sys.exc_info()[0] is None:
                self.history.conclude()
                self.tally.end(self.history.crew.lives)
        finally:
            self.history.clean()
