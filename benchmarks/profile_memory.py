"""Redis' memory per profile by the size of its JSON and the number of feature views, in a fresh server each."""

from pathlib import Path

import redis

from config.embedded import EmbeddedServer

PROFILES = 200_000
SIZES = (50, 200, 500, 1_000, 4_000)
VIEWS = (1, 3)
AT_ONCE = 2_000
KEY = f"{'w' * 27}:{'d' * 27}:user:email:person%d@example.com"
VIEW = "features_by_email%d"


def run(folder: Path) -> None:
    """Print bytes a profile, and how many of them are neither key nor field nor JSON."""
    print(f"\nRedis' memory, {PROFILES:,} profiles under keys of about {len(KEY % 100_000)} bytes")
    for views in VIEWS:
        for size in SIZES:
            with EmbeddedServer(folder / f"memory-{views}-{size}") as server:
                used = _fill(server, views=views, size=size) / PROFILES
            beside = used - len(KEY % 100_000) - views * (len(VIEW % 0) + size)
            print(f"  {views} view(s) of {size:>5,} bytes of JSON {used:>9,.0f} bytes a profile, {beside:,.0f} beside")


def _fill(server: EmbeddedServer, *, views: int, size: int) -> int:
    """Write the profiles and return by how many bytes the server's memory grew."""
    values = {VIEW % number: "x" * size for number in range(views)}
    with redis.Redis.from_url(server.url()) as client:
        empty = client.info("memory")["used_memory"]
        for start in range(0, PROFILES, AT_ONCE):
            with client.pipeline(transaction=False) as pipeline:
                for number in range(start, start + AT_ONCE):
                    for field, value in values.items():
                        pipeline.hset(KEY % number, field, value)
                pipeline.execute()
        return int(client.info("memory")["used_memory"] - empty)
