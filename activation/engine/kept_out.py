"""Finds the rows of suppressed profiles among millions of others.

The keyed digest that proves a row suppressed costs as much as all the rest of its encoding, so it is made only of rows
whose checksum is that of some suppressed key. None is missed: one key has one checksum, whatever secret its digest was
made with. Others that share a checksum are let off by the digest.
"""

from collections.abc import Iterable
from typing import NamedTuple

from activation.engine.profiles import key_checksum, suppression_digest
from activation.engine.rows import Rows


class Mark(NamedTuple):
    """What a suppressed key is known by: `profiles.key_checksum`, and `profiles.suppression_digest` of any secret."""

    checksum: int
    digest: str

    def __repr__(self) -> str:
        return "Mark(…)"  # a checksum can be tried against e-mails

    @classmethod
    def of(cls, secret: bytes, key: str) -> "Mark":
        """Return the mark of a key."""
        return cls(key_checksum(key), suppression_digest(secret, key))


class KeptOut:
    """Suppressed keys by their marks, made with any of some secrets."""

    def __init__(self, secrets: Iterable[bytes], marks: Iterable[Mark] = ()) -> None:
        self._secrets = tuple(secrets)
        self._checksums: set[int] = set()
        self._digests: set[str] = set()
        self.add(marks)

    def add(self, marks: Iterable[Mark]) -> None:
        """Keep these out as well. Raises `ValueError` when there is no secret that they could be made with."""
        for checksum, digest in marks:
            if not self._secrets:
                raise ValueError("suppressions cannot be honoured without the keys of their digests")
            self._checksums.add(checksum)
            self._digests.add(digest)

    def hits(self, rows: Rows) -> list[int]:
        """Return the positions of rows that are kept out."""
        if not self._checksums:
            return []
        checksums = rows.checksums()
        if self._checksums.isdisjoint(checksums):
            return []
        return [n for n, checksum in enumerate(checksums) if checksum in self._checksums and self._proved(rows.key(n))]

    def _proved(self, key: str) -> bool:
        return any(suppression_digest(secret, key) in self._digests for secret in self._secrets)
