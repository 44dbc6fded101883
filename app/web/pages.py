"""Cursor pages: opaque, bound to the list and its filters, stable while rows are added."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response

from app.web.problems import CURSOR_INVALID, Refusal
from guardrails.facts import sha256_of

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR = 500


def cursor_after(place: list[Any], filters: Mapping[str, Any]) -> str:
    """A cursor for what follows `place` (plain JSON) in the list narrowed by `filters`."""
    content = json.dumps({"place": place, "list": _mark(filters)}, separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def place_of(cursor: str | None, filters: Mapping[str, Any], *kinds: type) -> list[Any] | None:
    """Where the cursor points, as values of these kinds; None without a cursor. Raises Refusal when it is not of this list."""
    if cursor is None:
        return None
    try:
        opened = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place, mark = opened["place"], opened["list"]
        fits = mark == _mark(filters) and len(place) == len(kinds)
        typed = fits and all(_is(item, kind) for item, kind in zip(place, kinds, strict=True))
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(CURSOR_INVALID, "That is not a cursor of Ordermend; begin again without one.") from error
    if not typed:
        raise Refusal(CURSOR_INVALID, "The cursor belongs to a list with other filters; begin again without one.")
    return list(place)


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """The `Link` header (RFC 8288) to the next page."""
    if cursor is None:
        return
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    response.headers["Link"] = f'<{request.url.path}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'


def _is(item: object, kind: type) -> bool:
    """Of this very type, and no number that the database cannot count to."""
    return type(item) is kind and (not isinstance(item, int) or 0 <= item < 2**63)


def _mark(filters: Mapping[str, Any]) -> str:
    return sha256_of(filters)[:16]
