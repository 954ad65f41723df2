"""A key that stands twice in a body: parsers differ in which one counts, so neither does (RFC 8259, section 4)."""

import json
from typing import Any

from fastapi import Request

from tradingd.api.errors import ApiError


async def no_key_twice(request: Request) -> None:
    """For every route; raises `ApiError`. The body has been read and found to be JSON before."""
    if request.method not in ("GET", "HEAD") and b'"' in (body := await request.body()):
        json.loads(body, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        told = "a key stands twice in the body: write each once"
        raise ApiError(422, "INVALID_REQUEST", told, field="body", errors=[{"field": "body", "message": told}])
    return found
