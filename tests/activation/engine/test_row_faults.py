"""How many refused rows end a load, and which do not: one in a hundred of all, or nothing but refused ones at first."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pytest

from activation.engine import synchronise
from activation.engine.encoding import Encoder
from activation.engine.loader import ChunkReport
from activation.engine.row_faults import FaultLimit, TooManyRowFaults
from activation.engine.rows import Rows
from activation.engine.synchronise import Counts, PartitionLoad, Suppressions
from tests.activation.engine.test_partition_load import people

TEN_THOUSAND = 10_000


@dataclass
class Refusing:
    """A writer that refuses the rows of the given numbers, counted from the first row of all."""

    numbers: Collection[int]
    rows: int = 0
    witnesses: int = 0

    def write(self, rows: Rows) -> ChunkReport:
        refused = [position for position in range(len(rows)) if self.rows + position in self.numbers]
        self.rows += len(rows)
        return ChunkReport(written=len(rows) - len(refused), failures=[(each, "too_large") for each in refused])

    def witness(self) -> None:
        self.witnesses += 1


def load(rows: int, refused: Iterable[int], limit: FaultLimit | None = None) -> tuple[Counts, Refusing]:
    """Load so many rows, all there are unless `limit` says otherwise."""
    writer = Refusing(frozenset(refused))
    nobody = Suppressions(lambda last: (last, []), {})
    with Encoder(prefix="p:", values=()) as encoder:
        loading = PartitionLoad(writer, encoder, nobody, lambda: True, limit=limit or FaultLimit(rows))
        try:
            return loading.run([people([str(number) for number in range(rows)])], [], prefix="p:"), writer
        except TooManyRowFaults:
            assert writer.witnesses == 0
            raise


@pytest.mark.parametrize("first", [1, 5_000, TEN_THOUSAND - 101], ids=["at_first", "in_the_middle", "at_last"])
def test_one_in_a_hundred_of_ten_thousand_rows_may_fail_and_not_one_more_wherever_they_are(first):
    counts, writer = load(TEN_THOUSAND, range(first, first + 100))
    assert (counts.written, counts.failed, writer.witnesses) == (9_900, 100, 1)

    with pytest.raises(TooManyRowFaults):
        load(TEN_THOUSAND, range(first, first + 101))


def test_rows_that_the_destination_holds_as_they_are_count_with_the_others():
    unchanged = FaultLimit(of=TEN_THOUSAND, unchanged=9_850)

    assert load(150, range(100), unchanged)[0].failed == 100
    with pytest.raises(TooManyRowFaults):
        load(150, range(101), unchanged)


def test_the_rows_of_other_partitions_count_with_the_others():
    counts, _ = load(2_000, range(500, 900), FaultLimit(of=40_000))

    assert counts.failed == 400
    with pytest.raises(TooManyRowFaults):
        load(2_000, range(500, 901), FaultLimit(of=40_000))


@pytest.mark.parametrize("written_at_once", [16_000, 30])
def test_a_load_whose_first_hundred_rows_fail_ends_there(monkeypatch, written_at_once):
    monkeypatch.setattr(synchronise, "WRITE_ROWS", written_at_once)

    counts, _ = load(9_000, range(99))
    assert (counts.written, counts.failed) == (8_901, 99)

    with pytest.raises(TooManyRowFaults):
        load(9_000, range(100))


def test_nothing_more_is_written_once_the_first_hundred_have_failed(monkeypatch):
    monkeypatch.setattr(synchronise, "WRITE_ROWS", 50)
    writes: list[int] = []
    monkeypatch.setattr(Refusing, "write", _noting(writes, Refusing.write))

    with pytest.raises(TooManyRowFaults, match="too_large"):
        load(9_000, range(9_000))

    assert writes == [50, 50]


def test_a_hundred_that_fail_later_are_no_reason_to_end():
    assert load(9_000, range(1, 101))[0].failed == 100


@pytest.mark.parametrize("rows", [1, 3, 99])
@pytest.mark.parametrize("written_at_once", [16_000, 2])
def test_of_fewer_than_a_hundred_rows_all_must_fail(monkeypatch, rows, written_at_once):
    monkeypatch.setattr(synchronise, "WRITE_ROWS", written_at_once)

    with pytest.raises(TooManyRowFaults):
        load(rows, range(rows))
    for taken in {0, rows - 1} if rows > 1 else ():
        counts, writer = load(rows, set(range(rows)) - {taken})
        assert (counts.written, counts.failed, writer.witnesses) == (1, rows - 1, 1)


def test_a_single_change_that_fails_among_rows_that_stay_is_no_reason_to_end():
    assert load(1, [0], FaultLimit(of=3, unchanged=2))[0].failed == 1


def test_a_load_without_rows_has_no_faults():
    assert load(0, [])[1].witnesses == 1


def _noting(writes, write):
    def noted(self, rows):
        writes.append(len(rows))
        return write(self, rows)

    return noted
