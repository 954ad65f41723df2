"""/openapi.json, as exact as it can be: what this very daemon takes, and every answer it may give.

FastAPI derives the document from the routes; here it learns what only the running daemon knows (which symbols are
traded, which alphas sit in the council) and what its doors answer before any route is reached. Making it takes some
hundred milliseconds of CPU, which the loop that also trades does not have: `python -m tradingd.api.document` makes it
in a process of its own, once.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import Response

from tradingd.api.schema_shapes import VALUES
from tradingd.control import Control, ControlUnavailableError

PATH: Final = "/openapi.json"
_WITHIN_S: Final = 30.0
_EVERYWHERE: Final = {
    "400": "The request cannot be read",
    "421": "The Host header names another machine",
    "431": "The headers are too large",
    "500": "The daemon failed on this request: its log has the details",
}
_WITH_BODY: Final = {
    "413": "The body is too large",
    "415": "The body is not JSON by its Content-Type",
}
_LINKS: Final = {
    "/api/orders": ("order_id", ("/api/orders/{order_id}", "/api/orders/{order_id}/trace")),
    "/api/grids": ("grid_id", ("/api/grids/{grid_id}",)),
}
"""What a POST makes, and where its `id` leads."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What can be named in a request to this daemon."""

    symbols: tuple[str, ...]
    alphas: tuple[str, ...]
    agents: tuple[str, ...]

    @classmethod
    def of(cls, control: Control) -> "KnownNames":
        """Those of a running daemon."""
        agents = sorted(name.removeprefix("agent:") for name in control.inspected() if name.startswith("agent:"))
        return cls(control.settings.symbols, tuple(sorted(control.alpha_weights())), tuple(agents))


def build(document: dict[str, Any], names: KnownNames) -> dict[str, Any]:
    """Make FastAPI's document exact, in place."""
    values = asdict(names)
    for schema in _schemas(document):
        _put_values(schema, values)
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    for methods in document["paths"].values():
        for operation in methods.values():
            answers = _EVERYWHERE | (_WITH_BODY if "requestBody" in operation else {})
            for status, why in answers.items():
                operation["responses"].setdefault(status, {"description": why, "content": refusal})
            _say_when_to_ask_again(operation["responses"])
    for path, (parameter, targets) in _LINKS.items():
        document["paths"][path]["post"]["responses"]["202"]["links"] = {
            operation["operationId"]: {
                "operationId": operation["operationId"], "parameters": {parameter: "$response.body#/id"},
            }
            for target in targets for operation in document["paths"][target].values()
        }
    return document


def _say_when_to_ask_again(responses: dict[str, Any]) -> None:
    for status in ("429", "503"):
        if status in responses:
            schema = {"type": "string", "pattern": "^[0-9]+$"}
            responses[status].setdefault("headers", {})["Retry-After"] = {
                "description": "Seconds to wait", "schema": schema,
            }


def _schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(part, dict):
        yield part
        for value in list(part.values()):
            yield from _schemas(value)
    elif isinstance(part, list):
        for value in part:
            yield from _schemas(value)


def _put_values(schema: dict[str, Any], values: Mapping[str, list[str]]) -> None:
    kind = schema.pop(VALUES, None)
    if kind is None or not values[kind]:
        return
    for bound in ("minLength", "maxLength", "pattern"):
        schema.pop(bound, None)
    schema["enum"] = list(values[kind])
    if "examples" in schema:
        schema["examples"] = list(values[kind])[:1]


# ---- in the running daemon ----------------------------------------------------------------------------


def install(app: FastAPI, control: Control) -> None:
    """`app.openapi()` gives the exact document; GET /openapi.json serves it, made once in a process of its own."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def exact() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(plain(), KnownNames.of(control))
        return app.openapi_schema

    app.openapi = exact  # type: ignore[method-assign]
    reference = app.state.reference = Reference(control)

    async def serve() -> Response:
        return Response(await reference.text(), media_type="application/json")

    app.add_api_route(PATH, serve, include_in_schema=False)


class Reference:
    """The document's bytes, made once: when somebody asks, or ahead of that with `prepare`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._lock = asyncio.Lock()
        self._made = b""

    async def text(self) -> bytes:
        """Raises `ControlUnavailableError`."""
        async with self._lock:
            if not self._made:
                self._made = await _made_elsewhere(KnownNames.of(self._control))
            return self._made

    async def prepare(self, after_s: float) -> None:
        """Make it a while after the start, so that the first who asks need not wait."""
        await asyncio.sleep(after_s)
        with contextlib.suppress(ControlUnavailableError):
            await self.text()


async def _made_elsewhere(names: KnownNames) -> bytes:
    """The document's bytes; raises `ControlUnavailableError`."""
    told = "the document cannot be made now: ask again"
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tradingd.api.document",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True, env={},
        )
    except OSError as error:
        raise ControlUnavailableError(f"{told} ({error.strerror})") from error
    try:
        async with asyncio.timeout(_WITHIN_S):
            out, _ = await process.communicate(json.dumps(asdict(names)).encode())
    except TimeoutError as error:
        raise ControlUnavailableError(told) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ControlUnavailableError(told)
    return out


def main() -> None:
    """Names as JSON on stdin, the document on stdout."""
    from tradingd.api.app import app_of_routes

    given = json.load(sys.stdin)
    names = KnownNames(**{kind: tuple(values) for kind, values in given.items()})
    document = build(app_of_routes().openapi(), names)
    json.dump(document, sys.stdout, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
