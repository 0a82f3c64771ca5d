"""The port every warehouse adapter fills: what a sync and a check need, and nothing of Django or of our records.

An adapter is opened in the process that uses it (never before a fork), used by one thread, and closed; only `cancel`
may be called from another thread. Drivers' own messages carry rows and ids, so they stop here: an adapter raises the
errors below, with its own words, a class and a position at most.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple, Protocol, Self

import pyarrow as pa

BLANKS = " \t\n\r\f\v"  # what `Dialect.normalise` trims
# The sync log's columns, as in the hosted product.
LOG_COLUMNS = (
    "connection_id",
    "sync_run_id",
    "primary_key",
    "operation",
    "status",
    "error_reason",
    "sync_started_at",
    "sync_finished_at",
)
OWN_TABLE = re.compile(r"activation_[0-9a-f]{8}_[a-z0-9_]{1,35}")  # at most 55 bytes


def own_table(name: str) -> str:
    """Return the name of a table of ours as it is; anything else is a bug, for the schema is shared with others.

    Raises:
        ValueError: it does not look like one of ours.

    """
    if OWN_TABLE.fullmatch(name) is None:
        raise ValueError("this is not the name of a table of ours")
    return name


def id_texts(ids: Iterable[str]) -> list[str]:
    """Return ids as a table of ours takes them: each once, in their order.

    Raises:
        ValueError: one holds a NUL or half of a surrogate pair, which is no text anywhere.

    """
    texts = list(dict.fromkeys(ids))
    joined = "".join(texts)
    try:
        joined.encode()
    except UnicodeEncodeError:
        joined = "\0"
    if "\0" in joined:
        raise ValueError("an id is not a text that a warehouse can hold")
    return texts


class Kind(StrEnum):
    """How a value that `Value.expression` selects becomes JSON text (`activation.engine.encoding`)."""

    TEXT = "text"  # any string → a JSON string
    NUMBER = "number"  # text of a JSON number, spliced verbatim; NaN and infinities are NULL already
    INTEGER = "integer"  # an Arrow integer
    FLOAT = "float"  # an Arrow float or double; NaN and infinities → null
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # an Arrow timestamp in UTC or without zone → ISO 8601 with Z
    DATE = "date"  # an Arrow date32 → YYYY-MM-DD
    BINARY = "binary"  # Arrow binary → base64
    JSON = "json"  # JSON text, spliced verbatim


@dataclass(frozen=True)
class Column:
    """A column of a view as the warehouse's catalogue tells it, in the view's order."""

    name: str
    type: str


@dataclass(frozen=True)
class Value:
    """How a column is read for encoding: an SQL expression over the column and how its result is written."""

    column: str
    expression: str
    kind: Kind


@dataclass(frozen=True)
class LogOwner:
    """Whose rows of a log: as its `connection_id` has it, and in letters and digits short enough for a table's name."""

    connection_id: str
    short: str


@dataclass(frozen=True)
class Relation:
    """A view or table, by the names the catalogue returned."""

    schema: str
    name: str


@dataclass(frozen=True)
class CheckStep:
    """One named step of a check. `cure` tells what to do when it failed."""

    name: str
    state: str  # passed | failed | not_reached
    message: str = ""
    cure: str = ""


class WarehouseError(Exception):
    """A warehouse said no. `code` is stable; `transient` tells whether trying again may help."""

    code = "warehouse_error"
    transient = False

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail  # an SQLSTATE or an error class; never a driver's text


class WarehouseUnreachable(WarehouseError):
    """No connection could be made, or it broke."""

    code = "warehouse_unreachable"
    transient = True


class WarehouseBusy(WarehouseError):
    """A lock or a limit stands in the way for the moment."""

    code = "warehouse_busy"
    transient = True


class WarehouseRefused(WarehouseError):
    """The warehouse did not accept the user or the password."""

    code = "warehouse_refused"


class GrantMissing(WarehouseError):
    """The user may not do what is needed; the message names the grant."""

    code = "grant_missing"


class RelationMissing(WarehouseError):
    """A schema, view or table is not there."""

    code = "relation_missing"


class QueryFailed(WarehouseError):
    """A statement failed for a reason of its own (a cast, a bad view); `detail` holds the SQLSTATE or class."""

    code = "query_failed"


class QueryCancelled(WarehouseError):
    """The statement was cancelled by `cancel` or by the warehouse."""

    code = "query_cancelled"


class Dialect(Protocol):
    """The SQL of one warehouse. Expressions are built only from catalogue names (quoted here) and fixed text.

    `encodes` tells that it is DuckDB's, so that rows can be encoded where they are (`activation.engine.encoding`).
    """

    encodes: bool

    def quote(self, name: str) -> str:
        """Quote an identifier."""

    def relation(self, relation: Relation) -> str:
        """Reference a view or table of the customer's in a query."""

    def snapshot(self, name: str) -> str:
        """Reference a table of ours, made by `Warehouse.create`, in a query."""

    def id_text(self, column: Column) -> str:
        """Expression: the column as the text used in Redis keys, NULL where it is NULL."""

    def normalise(self, expression: str, step: str) -> str:
        """Expression: a text expression after one step of an id's normalisation.

        `trim` takes the six ASCII blanks (space, tab, line feed, carriage return, form feed, vertical tab) off both
        ends, `lower` turns A to Z into a to z and nothing else: the same in every warehouse, whatever its locale, and
        in `activation.engine.profiles.normalise`.
        """

    def value(self, column: Column) -> Value:
        """Say how the column is read for encoding."""

    def row_hash(self, columns: Sequence[Column]) -> str:
        """Expression: a 128-bit hash of the columns' values in their order, as 32 hex characters or as a number.

        It is injective but for chance: NULL differs from '', and nothing moves from one column to the next unseen.
        Never NULL.
        """

    def bucket(self, expression: str, buckets: int) -> str:
        """Expression: a whole number 0 ≤ n < `buckets` from a text expression, spread evenly.

        It is kept where it was worked out: the next run may get another.
        """

    def registry_complete(self, metadata: str) -> str:
        """Predicate: the registry's `metadata`, given as an expression, says that the model is complete."""


class Part(NamedTuple):
    """A partition of a table of ours: which, from 0, of how many."""

    number: int
    of: int


class Warehouse(Protocol):
    """An open connection to one warehouse."""

    dialect: Dialect

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def check(self, relations: Sequence[Relation] = ()) -> Iterator[CheckStep]:
        """Check in named steps: connection → schemas → write, read and drop in our schema → read each view.

        Yields every step, also those not reached after a failure; never raises `WarehouseError`.
        """

    def schemas(self) -> list[str]:
        """List the schemas the user can see, without the warehouse's own."""

    def relations(self, schema: str) -> list[str]:
        """List the views and tables of a schema. Raises `RelationMissing` when there is no such schema."""

    def describe(self, relation: Relation) -> list[Column]:
        """List a view's columns in order. Raises `RelationMissing`, `GrantMissing`."""

    def fetch(
        self, sql: str, parameters: Sequence[object] = (), *, uses: Sequence[str] = ()
    ) -> list[tuple[object, ...]]:
        """Run a query with a small result. `?` marks a parameter in every dialect.

        `uses` names the tables of ours that the query references by `Dialect.snapshot`.
        """

    def create(self, name: str, select: str, *, partitioned: bool = False, uses: Sequence[str] = ()) -> int:
        """Make a table of ours from a SELECT and return its row count.

        It appears whole or not at all. A table of that name is replaced; the SELECT may read it. `partitioned` lays
        it out for `stream_partition`, where that takes any doing: it has the columns `_id` and `_part`.
        """

    def put_ids(self, name: str, ids: Sequence[str]) -> int:
        """Make a table of ours with the one text column `_id` from these ids (see `id_texts`), each once.

        For what only we know, such as ids whose last write failed: none to some 100,000. Like `create` it appears
        whole or not at all and replaces one of that name; the column compares bytewise, as a snapshot's `_id` does.
        Returns the row count. Raises `ValueError` for an id that is no text.
        """

    def stream(self, sql: str, *, uses: Sequence[str] = (), batch_rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        """Run a query and yield its result in Arrow batches of at most about `batch_rows`, in flat memory."""

    def partition_sizes(self, name: str, partitions: int) -> list[int]:
        """Return the rows of each partition of a partitioned table, by number."""

    def stream_partition(
        self, name: str, part: Part, expressions: Sequence[str] = (), *, batch_rows: int = 10_000
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a partition: `_id`, then the expressions, in Arrow batches.

        Each id is in the table once, and none is null. `_part` tells a row's partition, or its position does where
        a table never changes. Reading every partition scans the table about once. While the caller works on a batch,
        no transaction stays open in the warehouse.
        """

    def tables(self, prefix: str) -> list[str]:
        """List our own tables whose names begin with `prefix`."""

    def drop(self, name: str) -> None:
        """Drop a table of ours; not being there is fine."""

    def append(self, log: str, select: str, *, owner: LogOwner, entry: str, day: date, uses: Sequence[str] = ()) -> int:
        """Append a SELECT's rows to a log of ours, made when it is not there yet; return how many.

        The SELECT has the columns `LOG_COLUMNS` in their order. `entry` is a few letters and digits that tell this
        append from others of the owner, `day` the day (UTC) of its `sync_finished_at`. Where tables cannot grow, an
        entry is a table of its own whose name begins with the log's.
        """

    def forget(self, log: str, *, owner: LogOwner, before: date) -> None:
        """Take out of a log an owner's rows of days before a day (UTC), and tidy up what many appends left.

        A log that is not there is fine.
        """

    def cancel(self) -> None:
        """Stop the statement that runs now. May be called from another thread."""

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
