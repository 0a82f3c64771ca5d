"""The hosted writer's known row, written by our encoder and loader: the same command reaches Redis, byte for byte."""

import pyarrow as pa
import redis

from activation.engine.bookkeeping import Bookkeeping, Claim
from activation.engine.encoding import Encoder
from activation.engine.loader import Loader
from activation.engine.profiles import prefix
from activation.engine.redis_settings import RedisSettings
from activation.engine.synchronise import PartitionLoad, Suppressions
from projects.warehouses.port import Kind, Value

WORKSPACE, DESTINATION = "some-workspace-id", "1WhcOCGgj9asZu850HvugU2C3Aq"
KEY = "some-workspace-id:1WhcOCGgj9asZu850HvugU2C3Aq:some-entity:some-id-type:some-user-id"
JSON = (
    '{"MODEL_ID":"1691755780","VALID_AT":"2023-08-11T11:32:44.963062Z",'
    '"USER_MAIN_ID":"rid5530313526204a95efe71d98cd17d5a1","CHURN_SCORE_7_DAYS":0.027986,'
    '"PERCENTILE_CHURN_SCORE_7_DAYS":0}'
)
VALUES = (
    Value("MODEL_ID", "c0", Kind.TEXT),
    Value("VALID_AT", "c1", Kind.TIMESTAMP),
    Value("USER_MAIN_ID", "c2", Kind.TEXT),
    Value("CHURN_SCORE_7_DAYS", "c3", Kind.FLOAT),
    Value("PERCENTILE_CHURN_SCORE_7_DAYS", "c4", Kind.INTEGER),
)


def test_the_hosted_writers_row_is_written_byte_for_byte(redis_server):
    valid_at = pa.array(["2023-08-11T11:32:44.963062"]).cast(pa.timestamp("us"))
    row = pa.RecordBatch.from_arrays(
        [
            pa.array(["some-user-id"]),
            pa.array(["1691755780"]),
            valid_at,
            pa.array(["rid5530313526204a95efe71d98cd17d5a1"]),
            pa.array([0.027986]),
            pa.array([0]),
        ],
        names=["_id", "v0", "v1", "v2", "v3", "v4"],
    )
    settings = RedisSettings.from_plain({"address": redis_server.address}, {"password": redis_server.password})
    bookkeeping = Bookkeeping(WORKSPACE, DESTINATION, "source")
    start = prefix(WORKSPACE, DESTINATION, "some-entity", "some-id-type")

    with Loader(settings, bookkeeping, "some-model", allow_private=True) as loader:
        loader.begin("run", 1, 1)
        with loader.partition(Claim("run", 1, 0, 1)) as writer, Encoder(prefix=start, values=VALUES) as encoder:
            load = PartitionLoad(
                writer=writer,
                encoder=encoder,
                suppressions=Suppressions(since=lambda last: (last, []), secrets={}),
                still_ours=lambda: True,
            )
            counts = load.run([row], [], prefix=start)
        loader.finish("run")

    assert counts.written == 1
    with redis.Redis.from_url(redis_server.url()) as client:
        assert client.hgetall(KEY) == {b"some-model": JSON.encode()}
        assert client.pttl(KEY) == -1
        assert [key for key in client.scan_iter(f"{WORKSPACE}:*") if b":_activation:" not in key] == [KEY.encode()]
