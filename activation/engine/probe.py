"""The connection test of a destination, in named steps: which one fails, why, and what to do.

It does what a sync will do, in the same way: the same guard, the same scripts, keys with the destination's own
prefix. What it writes it removes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from activation.engine import cures
from activation.engine.errors import DestinationError
from activation.engine.redis_settings import RedisSettings
from activation.engine.trial import Problem, Skipped, Trial

StepState = Literal["passed", "failed", "not_reached", "skipped"]
ALL_WITHIN = 10.0


@dataclass(frozen=True)
class Step:
    """One step of the test. `cure` tells what to do when it failed."""

    name: str
    state: StepState
    message: str = ""
    cure: str = ""


def probe(
    settings: RedisSettings,
    *,
    key_prefix: str,
    allow_private: bool,
    forbidden: Sequence[tuple[str, int]] = (),
) -> Iterator[Step]:
    """Test a destination: name → TCP → TLS → AUTH → cluster and role → write, read, delete → scripts → memory policy.

    `key_prefix` is `<workspace id>:<destination id>:`. Yields every step as it is known, also those not reached after
    a failure; raises nothing, and takes about ten seconds at most.
    """
    trial = Trial(settings, key_prefix, allow_private, tuple(forbidden))
    deadline = time.monotonic() + ALL_WITHIN
    broken = False
    for name, check in trial.steps():
        if broken:
            yield Step(name, "not_reached")
            continue
        step = _take(name, check, trial, late=time.monotonic() > deadline)
        broken = step.state == "failed"
        yield step
    trial.close()


def _take(name: str, check: Callable[[], str], trial: Trial, *, late: bool) -> Step:
    if late:
        return Step(
            name,
            "failed",
            f"The test took longer than {ALL_WITHIN:g} s.",
            "Try again; if it stays so slow, look at the network.",
        )
    try:
        return Step(name, "passed", check())
    except Skipped as skipped:
        return Step(name, "skipped", str(skipped))
    except Problem as problem:
        return Step(name, "failed", str(problem), problem.cure)
    except DestinationError as error:
        asker = cures.Asker.of(trial.key_prefix, trial.settings)
        return Step(name, "failed", str(error), cures.cure(error.code, str(error), asker))
