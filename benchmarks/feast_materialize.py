"""What Feast's `materialize` takes for a Parquet file of profiles; run by Feast's own interpreter, not by ours.

    python -P feast_materialize.py FOLDER PARQUET [PORT]

prints the seconds as JSON. With PORT it goes on as Feast's feature server (`feast serve --workers 1 --max-requests 0
--no-access-log`: one worker that is never recycled). FOLDER takes Feast's registry; Feast's connection string for Redis holds the password, so it
comes on standard input. (`-P` keeps our modules beside this file out of Feast's way.)
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

ID, EVENT = "email", "event_timestamp"
PORT = 3
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def feature_view(file: Path) -> tuple[Entity, FeatureView]:
    """Describe the view of `benchmarks.data` in Feast's words: the same 20 columns, the id among them."""
    entity = Entity(name="person", join_keys=[ID], value_type=ValueType.STRING)
    types = {"user_main_id": String, "subscribed": Bool, "score": Float64, "last_seen": UnixTimestamp, "plan": String}
    types |= {f"visits_{n}": Int64 for n in range(6)}
    types |= {f"amount_{n}": Float64 for n in range(4)}
    types |= {f"segment_{n}": String for n in range(4)}
    fields = [Field(name=name, dtype=dtype) for name, dtype in types.items()]
    source = FileSource(path=str(file), timestamp_field=EVENT)
    return entity, FeatureView(name="features_by_email", entities=[entity], schema=fields, source=source, online=True)


def main() -> None:
    """Apply the view, then measure `materialize` alone."""
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "redis", "connection_string": sys.stdin.readline().strip()},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    store.apply([*feature_view(file)])
    started = time.perf_counter()
    store.materialize(start_date=DAY.replace(year=2025), end_date=DAY.replace(day=2))
    print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
    if len(sys.argv) > PORT:
        store.serve(
            host="127.0.0.1",
            port=int(sys.argv[PORT]),
            no_access_log=True,
            workers=1,
            max_requests=0,
            max_requests_jitter=0,
        )


if __name__ == "__main__":
    main()
