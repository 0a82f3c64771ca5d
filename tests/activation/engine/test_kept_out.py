"""Rows of suppressed profiles: each is found, whatever its key, its secret and its neighbours."""

from hypothesis import given
from hypothesis import strategies as st

from activation.engine import kept_out
from activation.engine.kept_out import KeptOut, Mark
from activation.engine.profiles import key_checksum, sealed_checksum, suppression_digest
from activation.engine.rows import Rows

OLD, NEW = b"o" * 32, b"n" * 32
# Two keys with one CRC-32, found by trying.
TWINS = ("plumless", "buckeroo")

texts = st.text(st.characters(codec="utf-8"), max_size=30)


def rows_of(prefix: str, ids: list[str]) -> Rows:
    found = Rows.of([prefix + text for text in ids], ["{}"] * len(ids))
    return Rows(prefix, Rows.of(ids, ["{}"] * len(ids)).ids, found.packed)


@given(
    prefix=texts, ids=st.lists(texts, max_size=20), out=st.sets(st.integers(0, 19)), newer=st.sets(st.integers(0, 19))
)
def test_exactly_the_rows_of_suppressed_keys_are_found(
    prefix: str, ids: list[str], out: set[int], newer: set[int]
) -> None:
    gone = {text for n, text in enumerate(ids) if n in out}
    marks = [Mark.of(NEW if n in newer else OLD, prefix + text) for n, text in enumerate(ids) if text in gone]

    hits = KeptOut([NEW, OLD], marks).hits(rows_of(prefix, ids))

    assert hits == [n for n, text in enumerate(ids) if text in gone]


@given(prefix=texts, ids=st.lists(texts, max_size=5), start=st.integers(0, 5))
def test_the_checksums_of_rows_are_those_of_their_keys_also_of_a_part(prefix: str, ids: list[str], start: int) -> None:
    rows = rows_of(prefix, ids).slice(min(start, len(ids)), 2)

    assert rows.checksums() == [key_checksum(key) for key in map(rows.key, range(len(rows)))]


def test_a_key_that_shares_its_checksum_with_a_suppressed_one_is_let_off() -> None:
    assert key_checksum(TWINS[0]) == key_checksum(TWINS[1])

    assert KeptOut([OLD], [Mark.of(OLD, TWINS[0])]).hits(rows_of("", [*TWINS, "other"])) == [0]


def test_digests_are_made_of_rows_with_a_suppressed_checksum_only(monkeypatch) -> None:
    made = []

    def counted(secret: bytes, key: str) -> str:
        made.append(key)
        return suppression_digest(secret, key)

    monkeypatch.setattr(kept_out, "suppression_digest", counted)
    people = [f"{number}@example.com" for number in range(1_000)]
    marks = [Mark(key_checksum(key), suppression_digest(OLD, key)) for key in (f"p:{text}" for text in people[::100])]

    assert len(KeptOut([OLD], marks).hits(rows_of("p:", people))) == 10
    assert len(made) == 10


@given(checksum=st.integers(0, 2**32 - 1), digest=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_sealed_checksum_opens_with_its_own_secret(checksum: int, digest: str) -> None:
    sealed = sealed_checksum(OLD, digest, checksum)

    assert 0 <= sealed < 2**32
    assert sealed_checksum(OLD, digest, sealed) == checksum
    assert sealed_checksum(NEW, digest, sealed) != checksum


def test_a_mark_does_not_show_what_it_holds() -> None:
    assert repr(Mark.of(OLD, "person")) == "Mark(…)"
