"""The loading of one partition, with a writer that refuses on demand and people who are deleted meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pytest

from activation.engine import synchronise
from activation.engine.encoding import Encoder
from activation.engine.loader import ChunkReport
from activation.engine.profiles import suppression_digest
from activation.engine.synchronise import ClaimLost, Counts, PartitionLoad, Suppressions, TooManyRowFaults


def test_rows_are_taken_back_for_who_was_deleted_meanwhile_before_too_many_faults_end_the_load():
    writer = Recorder(refuse_after=1)

    with deleting("gone", while_writing=1) as (suppressions, encoder), pytest.raises(TooManyRowFaults):
        load_of(writer, encoder, suppressions).run([people(["gone", *map(str, range(300))])], [], prefix="p:")

    assert [values for _, values in writer.written] == [["{}"] * 301, [None]]


def test_somebody_deleted_during_an_earlier_write_of_the_same_batch_is_not_written(monkeypatch):
    monkeypatch.setattr(synchronise, "WRITE_ROWS", 2)
    writer = Recorder()

    with deleting("gone", while_writing=1) as (suppressions, encoder):
        counts = load_of(writer, encoder, suppressions).run([people(["a", "b", "c", "gone"])], [], prefix="p:")

    assert writer.written == [(["p:a", "p:b"], ["{}", "{}"]), (["p:c", "p:gone"], ["{}", None])]
    assert counts.suppressed == 1


def test_a_partition_ends_with_its_witness_also_when_it_is_empty_and_never_before_its_end():
    for ids in ([], ["a"]):
        writer = Recorder()
        with deleting("nobody", while_writing=1) as (suppressions, encoder):
            load_of(writer, encoder, suppressions).run([people(ids)], [], prefix="p:")
        assert writer.witnesses == 1

    writer = Recorder()
    with deleting("nobody", while_writing=1) as (suppressions, encoder), pytest.raises(ClaimLost):
        replace(load_of(writer, encoder, suppressions), still_ours=lambda: False).run([people(["a"])], [], prefix="p:")
    with deleting("nobody", while_writing=1) as (suppressions, encoder), pytest.raises(ClaimLost):
        replace(load_of(writer, encoder, suppressions), still_ours=lambda: False).run([], [], prefix="p:")
    assert writer.witnesses == 0


def test_a_refused_row_counts_once_also_when_its_person_is_deleted():
    writer = Recorder(refuse_after=1)

    with deleting("refused", while_writing=1) as (suppressions, encoder):
        before = load_of(writer, encoder, suppressions).run([people(["taken", "refused"])], [], prefix="p:")
    with deleting("refused", while_writing=1) as (suppressions, encoder):
        encoder.suppress(suppressions.news())
        after = load_of(writer, encoder, suppressions).run([people(["taken", "refused"])], [], prefix="p:")

    assert len(writer.written) == 2
    for counts in (before, after):
        assert (counts.written, counts.deleted, counts.suppressed, counts.failed) == (10_001, 0, 0, 1)


@dataclass
class Recorder:
    """A writer that keeps what it is given; of each write it takes the first `refuse_after` rows."""

    refuse_after: int = 1_000
    written: list[tuple[list[str], list[str | None]]] = field(default_factory=list)
    witnesses: int = 0

    def witness(self) -> None:
        self.witnesses += 1

    def write(self, keys: Sequence[str], values: Sequence[str | None]) -> ChunkReport:
        self.written.append((list(keys), list(values)))
        taken = values[: self.refuse_after]
        return ChunkReport(
            written=sum(value is not None for value in taken),
            deleted=sum(value is None for value in taken),
            failures=[(position, "wrong_type") for position in range(len(taken), len(keys))],
        )


@contextmanager
def deleting(person: str, *, while_writing: int) -> Iterator[tuple[Suppressions, Encoder]]:
    """Suppressions among which a person appears after the given write, and an encoder that takes them."""
    secrets = {1: b"k" * 32}
    looks = 0

    def since(last: int) -> tuple[int, list[str]]:
        nonlocal looks
        looks += 1
        return (1, [suppression_digest(secrets[1], f"p:{person}")]) if looks == while_writing else (last, [])

    with Encoder(prefix="p:", values=(), secrets=secrets) as encoder:
        yield Suppressions(since, secrets), encoder


def load_of(writer: Recorder, encoder: Encoder, suppressions: Suppressions) -> PartitionLoad:
    """A load late in its partition, so that many refused rows end it."""
    return PartitionLoad(writer, encoder, suppressions, lambda: True, Counts(written=10_000))


def people(ids: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"_id": list(ids)})
