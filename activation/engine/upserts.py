"""Reads the rows of a partition that are to be written, with what packs them for Redis.

A warehouse that speaks the encoder's own SQL packs its rows itself: that saves taking every column through Arrow and
through a second DuckDB, a third of what loading a row costs (measured).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa

from activation.engine import snapshots
from activation.engine.encoding import Encoder, Packed, packed_text
from activation.engine.kept_out import Mark
from projects.warehouses.port import Column, Part, Warehouse

# As many as stay in the processor's cache from the pipe to the socket: 10,000 cost more than twice as much (measured).
_PACKED_ROWS = 2_000

Batches = Iterable[pa.RecordBatch]


@contextmanager
def reading(
    warehouse: Warehouse,
    columns: Sequence[Column] | None,
    *,
    name: str,
    part: Part,
    prefix: str,
    secrets: Mapping[int, bytes] | None = None,
    suppressed: Iterable[Mark] = (),
    field: str | None = None,
) -> Iterator[tuple[Encoder | Packed, Batches]]:
    """Give what packs the rows of a partition of the table `name`, and the rows; without columns there are none.

    `columns` are the view's when the table was made, whatever has become of it since.
    `prefix` begins every key; `secrets`, `suppressed` and `field` are as an `Encoder` takes them.
    """
    if columns is None or warehouse.dialect.encodes:
        packed = Packed(prefix=prefix, secrets=secrets, suppressed=suppressed, commands=field is not None)
        if columns is None:
            yield packed, ()
            return
        text = packed_text(prefix, snapshots.values(warehouse.dialect, columns), field)
        yield packed, warehouse.stream_partition(name, part, [text], batch_rows=_PACKED_ROWS)
        return
    values = snapshots.values(warehouse.dialect, columns)
    with Encoder(prefix=prefix, values=values, secrets=secrets, suppressed=suppressed, field=field) as encoder:
        yield encoder, snapshots.read_upserts(warehouse, columns, snapshot=name, part=part)
