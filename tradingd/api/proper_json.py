"""What no route takes in a body, whether it reads one or not: text that is no JSON, and a key that stands twice.

Parsers differ in which of two equal keys counts, so neither does (RFC 8259, section 4).
"""

import json
from typing import Any

from fastapi import Request

from tradingd.api.errors import NO_JSON, invalid


async def proper_json(request: Request) -> None:
    """For every route; raises `ApiError`. A route without a body model has nobody else who looks at the body."""
    if request.method not in ("GET", "HEAD") and (body := await request.body()):
        try:
            json.loads(body, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise invalid("body", NO_JSON) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise invalid("body", "a key stands twice in the body: write each once")
    return found
