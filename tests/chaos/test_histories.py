"""Whatever happens, one successful sync later the destination is the view: histories written by Hypothesis.

`CHAOS_SEED` and `CHAOS_HISTORIES` repeat a run; a failure names both, and how to repeat its one history.
"""

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.actions import ACTIONS
from tests.chaos.history import History
from tests.chaos.machine import SHRINK, Machine
from tests.chaos.tally import PROPERTY, Tally

SEED = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))
# On PostgreSQL the tests run a second time, and what they try there is what differs: our own records.
ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")
HISTORIES = int(os.environ.get("CHAOS_HISTORIES", "20" if ON_POSTGRESQL else "200"))
SHARDS = 4
STEPS, FEWEST_STEPS = 26, 25
# Every action is in a tenth of all histories (printed at the end); a shard may have fewer by chance.
RAREST = 0.04
ENOUGH_TO_COUNT = 50  # histories in which every action should turn up


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_destination_is_the_view_after_any_history(
    shard: int, begin: Callable[[], History], record_property: Callable[[str, object], None]
):
    tally, number = Tally(), SEED + shard
    machine = type("State", (Machine,), {"begin": staticmethod(begin), "tally": tally})
    try:
        run_state_machine_as_test(seed(number)(machine), settings=rules_of_writing())
    except BaseException as error:
        error.add_note(
            f"CHAOS_SEED={SEED} CHAOS_HISTORIES={HISTORIES} repeats it in shard {shard}; "
            "CHAOS_SHRINK=1 looks for others that fail, and shortens them."
        )
        raise
    record_property(PROPERTY, tally.as_text())

    assert tally.histories >= HISTORIES // SHARDS
    assert tally.median >= FEWEST_STEPS
    rare = {action.name: tally.share(action.name) for action in ACTIONS if tally.share(action.name) < RAREST}
    assert not rare or tally.histories < ENOUGH_TO_COUNT


def rules_of_writing() -> hypothesis_settings:
    """How Hypothesis is to write."""
    shrink = [Phase.shrink] if SHRINK else []
    return hypothesis_settings(
        max_examples=HISTORIES // SHARDS,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *shrink],
    )
