"""Rows packed for the wire: the same bytes as redis-py makes, cut without copying, each row at its own slot."""

import pyarrow as pa
import pytest
from redis.connection import Connection

from activation.engine.encoding import Encoder
from activation.engine.pace import Pace
from activation.engine.portions import portions
from activation.engine.rows import Rows, cut, pairs
from activation.engine.slots import slot_of
from projects.warehouses.port import Kind, Value

IDS = ["a", "ü{b}😀", "{c", "{}{d}", "e}{f}", "g\r\n$1\r\n", "", "h" * 300]
PREFIX = "ws:dest:user:é:"


def encoder(prefix: str = PREFIX, **options: object) -> Encoder:
    return Encoder(prefix=prefix, values=[Value("Ünö", "", Kind.TEXT)], **options)  # type: ignore[arg-type]  # by name


def batch(ids: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"_id": ids, "v0": [f"{text}\r\n" for text in ids]})


def test_packed_rows_are_the_encoded_rows_as_redis_reads_them():
    with encoder() as coder:
        rows, plain = coder.pack(batch(IDS)), coder.encode(batch(IDS))

    wanted = [pair for row in zip(plain["key"].to_pylist(), plain["json"].to_pylist(), strict=True) for pair in row]
    packed = b"".join(Connection().pack_command(*wanted))
    sent = b"".join(bytes(body) for _, body in cut(rows.packed, rows=3, size=1_000_000))
    assert b"*%d\r\n%b" % (2 * len(IDS), sent) == packed
    assert rows.keys() == plain["key"].to_pylist()
    assert rows.id(1) == IDS[1]
    by_hand = Rows.of(rows.keys(), plain["json"].to_pylist())
    assert by_hand.packed.to_pylist() == rows.packed.cast(pa.binary()).to_pylist()


def test_rows_packed_as_commands_are_hsets_and_come_apart_again():
    field = "it's a\r\n vïew"
    with encoder(field=field) as coder:
        rows, plain = coder.pack(batch(IDS)), coder.encode(batch(IDS))

    keys, texts = plain["key"].to_pylist(), plain["json"].to_pylist()
    wanted = [
        b"".join(Connection().pack_command("HSET", *row)) for row in zip(keys, [field] * len(IDS), texts, strict=True)
    ]
    assert rows.packed.cast(pa.binary()).to_pylist() == wanted
    assert Rows.of(keys, texts, field=field).packed.to_pylist() == wanted
    assert pairs(memoryview(b"".join(wanted)), field) == b"".join(Rows.of(keys, texts).packed.to_pylist())
    assert rows.slice(1, 3).removing([0]).take([1]).commands


@pytest.mark.parametrize("prefix", [PREFIX, "ws:dest:{user}:e:", "ws:dest:{:e:"])
def test_each_key_has_the_slot_that_the_cluster_computes(prefix):
    with encoder(prefix) as coder:
        rows = coder.pack(batch(IDS))

    assert list(rows.slots()) == [slot_of(prefix + text) for text in IDS]


def test_batches_of_other_types_are_encoded_by_their_own():
    with encoder() as coder:
        for cells, wanted in ((["a"], '"a"'), ([7], "7"), ([8.5], "8.5"), (["c"], '"c"')):
            packed = coder.pack(pa.record_batch({"_id": ["x"], "v0": cells})).packed[0].as_py()
            assert packed.endswith(f'"Ünö":{wanted}}}\r\n')


def test_an_empty_batch_packs_to_no_rows():
    with encoder() as coder:
        rows = coder.pack(batch(IDS).slice(0, 0))

    assert (len(rows), rows.keys(), list(cut(rows.packed, rows=2, size=10)), rows.larger_than(0)) == (0, [], [], [])


def test_rows_are_taken_sliced_and_turned_into_removals_by_position():
    rows = Rows.of([f"k{n}" for n in range(6)], [f"v{n}" for n in range(6)])

    some = rows.slice(1, 5).removing([0, 3])

    assert some.keys() == ["k1", "k2", "k3", "k4", "k5"]
    assert some.split() == ([1, 2, 4], [0, 3])
    written = some.take(some.split()[0])
    assert written.keys() == ["k2", "k3", "k5"]
    assert [bytes(body) for _, body in cut(written.packed, rows=2, size=100)] == [
        b"$2\r\nk2\r\n$2\r\nv2\r\n$2\r\nk3\r\n$2\r\nv3\r\n",
        b"$2\r\nk5\r\n$2\r\nv5\r\n",
    ]
    assert rows.slice(2, 2).split() == (range(2), ())
    assert Rows.gone("p:", pa.array(["x"])).split() == ([], [0])


def test_chunks_keep_to_both_limits_and_a_row_that_is_too_large_stands_alone():
    sizes = [10, 10, 10, 500, 10, 90, 10, 10]
    packed = pa.array([b"x" * size for size in sizes], pa.binary())

    assert [(count, len(body)) for count, body in cut(packed, rows=3, size=100)] == [
        (3, 30),
        (1, 500),
        (2, 100),
        (2, 20),
    ]
    assert [count for count, _ in cut(packed.slice(2, 3), rows=3, size=10_000)] == [3]
    in_parts = pa.chunked_array([packed.slice(2, 2), packed.slice(4)])
    assert [(count, len(body)) for count, body in cut(in_parts, rows=3, size=10_000)] == [(2, 510), (3, 110), (1, 10)]
    assert Rows("", packed, packed).larger_than(89) == [3, 5]


def test_portions_begin_small_double_and_keep_to_rows_and_bytes():
    batches = [pa.record_batch({"n": list(range(10_000))})] * 7

    cut_up = list(portions(batches, rows=16_000, size=10_000_000))
    assert [portion.num_rows for portion in cut_up] == [4_000, 8_000, 16_000, 16_000, 16_000, 10_000]
    joined = pa.concat_tables(cut_up)["n"].to_pylist()
    assert joined == [n for _ in range(7) for n in range(10_000)]
    by_bytes = list(portions(batches, rows=16_000, size=8_000))
    assert max(portion.nbytes for portion in by_bytes) <= 8_000
    assert sum(portion.num_rows for portion in by_bytes) == 70_000
    wide = pa.record_batch({"t": ["x" * 1_000] * 5})
    assert [portion.num_rows for portion in portions([wide], rows=10, size=10)] == [1] * 5
    assert list(portions([], rows=10, size=10)) == []


def test_a_pace_lets_through_as_many_rows_a_second_as_it_may():
    slept: list[float] = []
    now = [100.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(1_000, clock=lambda: now[0], sleep=sleep)
    assert (pace.portion(32_000), pace.portion(20), Pace(1).portion(9), Pace().portion(9)) == (500, 20, 1, 9)
    for _ in range(4):
        pace.wait(500)
    assert slept == [0.5, 0.5, 0.5]
    now[0] += 60
    pace.wait(500)
    pace.wait(500)
    assert slept == [0.5, 0.5, 0.5, 0.5]
    Pace(clock=lambda: now[0], sleep=sleep).wait(10**9)
    assert len(slept) == 4
