"""Takes the protections of a sync out, one at a time, and shows that tests fail without each of them.

`python -m tests.chaos.mutations` runs the named tests of every mutation in a process of their own: untouched they
must pass, mutated they must fail. As a pytest plugin (`-p tests.chaos.mutations`) it applies the mutation that the
environment names, at run time: the product itself knows nothing of this.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

VARIABLE = "CHAOS_MUTATION"
FAILED = 1  # pytest's exit status
RUNS = "tests/activation/test_sync_runs.py"
INCREMENTAL = "tests/activation/test_incremental_syncs.py"
WITNESSES = "tests/activation/redis/test_witnesses.py"


@dataclass(frozen=True)
class Mutation:
    """What is taken out, how, and the tests that must notice."""

    takes_out: str
    apply: Callable[[], None]
    tests: tuple[str, ...]


def _without_dirty_ids() -> None:
    """A run sees nothing but its snapshot and the base."""
    from activation import run_records
    from activation.dirty_ids import Listed

    find = run_records.find

    @wraps(find)
    def found(*arguments: Any, **named: Any) -> run_records.Record:
        record = find(*arguments, **named)
        listed = Listed((), record.listed.upto, complete=True)
        return replace(record, known=replace(record.known, dirty=()), listed=listed, complete=True)

    run_records.find = found


def _without_marker() -> None:
    """A run takes for granted that the destination holds the base, when it begins and when it ends."""
    from activation import run_plans
    from activation.engine.loader import Loader
    from activation.models import Source, SyncRun

    decide, mark = run_plans.decide, Loader.set_marker

    @wraps(decide)
    def decided(run: SyncRun, source: Source, plan: Any, found: run_plans.Found) -> run_plans.Decision:
        marker = source.base_run.public_id if source.base_run else None
        return decide(run, source, plan, replace(found, marker=marker))

    @wraps(mark)
    def set_marker(self: Loader, run: str, **checks: Any) -> None:
        mark(self, run, **{**checks, "base": None})

    run_plans.decide = decided
    Loader.set_marker = set_marker  # type: ignore[method-assign]  # that is the point


def _without_fence() -> None:
    """Chunks are written whoever the fence says may write: by script, for no transaction is opened."""
    from activation.engine import partition_writer
    from activation.engine.scripts import CHUNK, Script

    text = _cut(CHUNK.text, r"if not fence then return \{'missing'\} end\nif fence ~= ARGV\[3\] then return .* end\n")
    partition_writer.CHUNK = Script(text)  # type: ignore[attr-defined]  # imported there by name


def _without_claim() -> None:
    """A transaction is opened wherever the fence stands."""
    from activation.engine.transactions import Transactions

    begin = Transactions.__init__

    @wraps(begin)
    def began(self: Transactions, channel: Any, fence: str, claim: Any) -> None:
        begin(self, channel, fence, claim)
        self._is_open = lambda: b"OK" in channel.read_replies(3)[2:]  # type: ignore[method-assign]  # that is the point

    Transactions.__init__ = began  # type: ignore[method-assign]  # that is the point


def _without_watch() -> None:
    """Whatever is done to the fence while a transaction is open, its chunk is written."""
    from activation.engine.channel import packed
    from activation.engine.transactions import Transactions

    begin = Transactions.__init__

    @wraps(begin)
    def began(self: Transactions, channel: Any, fence: str, claim: Any) -> None:
        begin(self, channel, fence, claim)
        self._opening = packed([("WATCH", f"{fence}-of-nobody"), ("HGET", fence, claim.partition), ("MULTI",)])

    Transactions.__init__ = began  # type: ignore[method-assign]  # that is the point


def _without_witnesses() -> None:
    """A run succeeds without asking whether its partitions' writes are still there."""
    from activation.engine.loader import Loader

    mark = Loader.set_marker

    @wraps(mark)
    def set_marker(self: Loader, run: str, **checks: Any) -> None:
        mark(self, run, **{**checks, "witnesses": {}})

    Loader.set_marker = set_marker  # type: ignore[method-assign]  # that is the point


def _without_recheck() -> None:
    """What was deleted while a chunk was on its way is not taken back."""
    from activation.engine.synchronise import PartitionLoad

    PartitionLoad._honour_new_deletes = lambda *_, **__: None  # type: ignore[method-assign]  # that is the point


MUTATIONS = {
    "dirty ids": Mutation(
        "the dirty ids",
        _without_dirty_ids,
        (
            f"{INCREMENTAL}::test_what_a_failed_run_wrote_is_put_right_by_the_next",
            f"{INCREMENTAL}::test_a_row_that_redis_refused_is_tried_again_though_it_did_not_change",
        ),
    ),
    "marker": Mutation(
        "the marker checks",
        _without_marker,
        (
            "tests/activation/test_incremental_syncs.py::test_a_flushed_destination_is_filled_again_without_being_told",
            "tests/activation/redis/test_witnesses.py::test_an_incremental_run_needs_the_marker_of_its_base_everywhere",
        ),
    ),
    "fence": Mutation(
        "the fence check of each chunk",
        _without_fence,
        (f"{RUNS}::test_a_worker_that_was_given_up_and_wakes_writes_nothing",),
    ),
    "claim": Mutation(
        "the look at the fence before a transaction",
        _without_claim,
        (f"{RUNS}::test_a_worker_that_was_given_up_and_wakes_writes_nothing",),
    ),
    "watch": Mutation(
        "the watch on the fence during a transaction",
        _without_watch,
        ("tests/activation/redis/test_transactions.py::test_a_fence_that_moves_meanwhile_keeps_the_chunk_out",),
    ),
    "witnesses": Mutation(
        "the witnesses",
        _without_witnesses,
        ("tests/activation/test_run_witnesses.py::test_writes_that_a_restarted_server_lost_are_made_again",),
    ),
    "recheck": Mutation(
        "the second look at suppressions after each write",
        _without_recheck,
        (f"{RUNS}::test_a_person_deleted_while_the_chunk_was_on_its_way_is_taken_back",),
    ),
}


def pytest_collection_finish() -> None:
    """Apply the mutation that the environment names, once everything is imported."""
    name = os.environ.get(VARIABLE)
    if name:
        MUTATIONS[name].apply()


def main() -> int:
    """Show for every mutation that its tests pass without it and fail with it; the exit status tells."""
    status = 0
    for name, mutation in MUTATIONS.items():
        for test in mutation.tests:
            untouched, mutated = _outcome(test, ""), _outcome(test, name)
            shown = untouched == 0 and mutated == FAILED
            verdict = "fails, as it should" if shown else f"DOES NOT SHOW IT (exits {untouched} and {mutated})"
            print(f"without {mutation.takes_out}: {test} {verdict}", flush=True)  # noqa: T201 - a command's output
            status |= not shown
    return int(status)


def _outcome(test: str, mutation: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-x", "-p", "tests.chaos.mutations", test]
    environment = {**os.environ, VARIABLE: mutation}
    return subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    ).returncode


def _cut(text: str, pattern: str) -> str:
    shorter, cuts = re.subn(pattern, "", text)
    if cuts != 1:
        raise AssertionError(f"nothing to take out: {pattern}")
    return shorter


if __name__ == "__main__":
    sys.exit(main())
