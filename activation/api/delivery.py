"""How an answer about profiles goes out: tagged, not sent again when the caller has it, compressed when asked for.

The thin path and the views send the same bytes because both ask here.
"""

import gzip
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from django.utils.http import parse_etags

from activation.api.formats import headers_of, weights_in

COMPRESSED_ABOVE = 1_024
_TAG_LETTERS = 24
_LEVEL = 1  # JSON of a profile: a fifth larger than at the highest level, in a tenth of the time


class Delivery(NamedTuple):
    """An answer as HTTP has it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def deliver(body: bytes, meta: Mapping[str, object]) -> Delivery:
    """Send a body to who asked with the headers in `meta` (named as in WSGI).

    The tag is weak (RFC 9110, 8.8.1): it names what is told, compressed or not. A caller that sends it in
    `If-None-Match` and has the present answer gets 304, without a body.
    """
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:_TAG_LETTERS]}"'
    asked = str(meta.get("HTTP_IF_NONE_MATCH", ""))
    if asked and _names(asked, tag):
        kept = [header for header in headers_of(b"") if header[0] == "Cache-Control"]
        return Delivery(304, [*kept, ("ETag", tag)], b"")
    if len(body) <= COMPRESSED_ABOVE:
        return Delivery(200, [*headers_of(body), ("ETag", tag)], body)
    varies = [("ETag", tag), ("Vary", "Accept-Encoding")]
    if not takes_gzip(str(meta.get("HTTP_ACCEPT_ENCODING", ""))):
        return Delivery(200, [*headers_of(body), *varies], body)
    packed = gzip.compress(body, compresslevel=_LEVEL, mtime=0)
    return Delivery(200, [*headers_of(packed), *varies, ("Content-Encoding", "gzip")], packed)


def takes_gzip(header: str) -> bool:
    """Tell whether an `Accept-Encoding` header takes gzip: by name or as any, and not weighed with nothing."""
    weights = weights_in(header, unreadable=0.0)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _names(header: str, tag: str) -> bool:
    """Tell whether an `If-None-Match` header names the tag, compared weakly."""
    bare = tag.removeprefix("W/")
    return any(each.removeprefix("W/") in {bare, "*"} for each in parse_etags(header))
