"""The loading of one partition, with a writer that refuses on demand and people who are deleted meanwhile."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pytest

from activation.engine import counts as counts_module
from activation.engine import synchronise
from activation.engine.encoding import Encoder
from activation.engine.kept_out import Mark
from activation.engine.loader import ChunkReport
from activation.engine.pace import Pace
from activation.engine.row_faults import FaultLimit, TooManyRowFaults
from activation.engine.rows import Rows
from activation.engine.synchronise import ClaimLost, Counts, PartitionLoad, Suppressions


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


def test_somebody_deleted_after_a_piece_was_encoded_and_before_it_is_sent_is_not_written(monkeypatch):
    monkeypatch.setattr(synchronise, "WRITE_ROWS", 2)
    next_one_is_encoded = threading.Event()
    writer = Recorder(before=lambda: next_one_is_encoded.wait(5))

    with deleting("gone", while_writing=1) as (suppressions, encoder):
        pack = encoder.pack

        def packed(batch: pa.RecordBatch) -> Rows:
            rows = pack(batch)
            if "p:gone" in set(rows.keys()):
                next_one_is_encoded.set()
            return rows

        monkeypatch.setattr(encoder, "pack", packed)
        counts = load_of(writer, encoder, suppressions).run([people(["a", "b", "c", "gone"])], [], prefix="p:")

    assert writer.written == [(["p:a", "p:b"], ["{}", "{}"]), (["p:c", "p:gone"], ["{}", None])]
    assert (counts.written, counts.suppressed) == (10_003, 1)


def test_failed_ids_are_listed_with_their_reason_up_to_a_limit_and_never_shown(monkeypatch):
    monkeypatch.setattr(counts_module, "MOST_FAILED_IDS", 3)
    with deleting("nobody", while_writing=99) as (suppressions, encoder):
        few = load_of(Recorder(refuse_after=2), encoder, suppressions).run(
            [people(["a", "b", "jane", "joe"])], [people(["x", "y", "jim"])], prefix="p:"
        )
        many = load_of(Recorder(refuse_after=0), encoder, suppressions).run([people(list("abcd"))], [], prefix="p:")

    assert few.failed_ids == [("jane", "wrong_type"), ("joe", "wrong_type"), ("jim", "wrong_type")]
    assert (few.too_many_to_list, few.failures) == (False, {"wrong_type": 3})
    assert (len(many.failed_ids), many.too_many_to_list, many.failed) == (3, True, 4)
    assert "jane" not in repr(few)


def test_a_limit_of_rows_a_second_makes_small_writes_and_waits_between_them():
    slept: list[float] = []
    writer = Recorder()

    with deleting("nobody", while_writing=99) as (suppressions, encoder):
        load = load_of(writer, encoder, suppressions)
        load.pace = Pace(4, clock=lambda: 7.0, sleep=slept.append)
        load.run([people(list("abcde"))], [], prefix="p:")

    assert [len(keys) for keys, _ in writer.written] == [2, 2, 1]
    assert slept == [0.5, 1.0]


def test_the_statement_is_cancelled_when_the_load_ends_early_and_only_then():
    cancelled: list[bool] = []
    reading, go_on = threading.Event(), threading.Event()

    def endless() -> Iterator[pa.RecordBatch]:
        yield people([str(number) for number in range(4_000)])
        reading.set()
        assert go_on.wait(5)

    with deleting("nobody", while_writing=99) as (suppressions, encoder):
        load = load_of(Recorder(), encoder, suppressions)
        load.cancel = lambda: cancelled.append(True)
        load.run([people(["a"])], [], prefix="p:")
        assert not cancelled
        load.cancel = go_on.set
        load.still_ours = lambda: not reading.wait(5)
        with pytest.raises(ClaimLost):
            load.run(endless(), [], prefix="p:")
    assert go_on.is_set()


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
    before: Callable[[], object] = lambda: None

    def witness(self) -> None:
        self.witnesses += 1

    def write(self, rows: Rows) -> ChunkReport:
        self.before()
        keys, values = rows.keys(), documents(rows)
        self.written.append((keys, values))
        taken = values[: self.refuse_after]
        return ChunkReport(
            written=sum(value is not None for value in taken),
            deleted=sum(value is None for value in taken),
            failures=[(position, "wrong_type") for position in range(len(taken), len(keys))],
        )


def documents(rows: Rows) -> list[str | None]:
    """Read the JSON texts back out of what would be sent: a key and a value, each behind its length."""
    texts: list[str | None] = []
    for key, packed in zip(rows.keys(), rows.packed.cast(pa.binary()).to_pylist(), strict=True):
        if packed is None:
            texts.append(None)
            continue
        name = b"$%d\r\n%b\r\n" % (len(key.encode()), key.encode())
        assert packed.startswith(name)
        length, _, rest = packed.removeprefix(name + b"$").partition(b"\r\n")
        assert rest[int(length) :] == b"\r\n"
        texts.append(rest[: int(length)].decode())
    return texts


@contextmanager
def deleting(person: str, *, while_writing: int) -> Iterator[tuple[Suppressions, Encoder]]:
    """Suppressions among which a person appears after the given write, and an encoder that takes them."""
    secrets = {1: b"k" * 32}
    looks = 0

    def since(last: int) -> tuple[int, list[Mark]]:
        nonlocal looks
        looks += 1
        return (1, [Mark.of(secrets[1], f"p:{person}")]) if looks == while_writing else (last, [])

    with Encoder(prefix="p:", values=(), secrets=secrets) as encoder:
        yield Suppressions(since, secrets), encoder


def load_of(writer: Recorder, encoder: Encoder, suppressions: Suppressions) -> PartitionLoad:
    """A load late in its partition, so that many refused rows end it."""
    return PartitionLoad(writer, encoder, suppressions, lambda: True, Counts(written=10_000), limit=FaultLimit(10_400))


def people(ids: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"_id": list(ids)})
