"""One shape for every error: {code, message, ...}; the message says what was wrong and what to do."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bus.messages.orders import OrderDenied
from risk.codes import RATE_LIMIT
from tradingd.auth import CredentialsError
from tradingd.control import ControlConflictError, ControlUnavailableError, VenueSilentError
from tradingd.read_model_views import DenialView

_BRANCH = re.compile(r"(function-[a-z]+|literal|constrained-[a-z]+|is-instance|lax-or-strict)\[.*\]", re.DOTALL)
T = TypeVar("T")
NO_JSON: Final = "the body is not valid JSON: mend it"
INVALID_FAMILY = "E004"
"""Invalid request: the family of everything that was refused before the rules were asked."""


class FieldError(BaseModel):
    """One field of a request that is not right."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """Every error. `family` to `limit` come with a refusal by the rules, `errors` with a malformed request."""

    code: str
    message: str
    family: str | None = None
    rule: str | None = None
    value: str | None = None
    limit: str | None = None
    field: str | None = None
    errors: list[FieldError] | None = None
    order_id: str | None = None


class ApiError(Exception):
    """Answer with this status and body."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None, **more: Any):
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, **more}
        if status == 422:  # the same keys whoever refuses
            blank = {"family": INVALID_FAMILY, "rule": more.get("field", ""), "value": "", "limit": message}
            self.body = {**blank, **self.body}
        self.headers = headers


def invalid(field: str, remedy: str) -> ApiError:
    """422 for one field (or `body`) of a request that is not right, as `invalid_body` says it."""
    problem = {"field": field, "message": remedy}
    return ApiError(422, "INVALID_REQUEST", f"{field}: {remedy}", limit=remedy, field=field, errors=[problem])


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Views to JSON without a second validation: they are made by us, and the loop also trades."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


_AT_ONCE: Final = 16
"""Orders made into views before the loop has its turn: some tenths of a millisecond."""


async def sliced_response(items: Sequence[T], view: Callable[[T], object]) -> Response:
    """A long list to JSON, a few at a time: the loop also trades."""
    parts = []
    for start in range(0, len(items), _AT_ONCE):
        parts.append(orjson.dumps([view(item) for item in items[start : start + _AT_ONCE]])[1:-1])
        await asyncio.sleep(0)
    return Response(b"[" + b",".join(parts) + b"]", media_type="application/json")


def denied(denial: OrderDenied | DenialView, order_id: str = "") -> ApiError:
    """A refusal by the trading rules."""
    error = ApiError(
        422, denial.code, denial.message, family=denial.family, rule=denial.rule, value=denial.value,
        limit=denial.limit,
    )
    if order_id:
        error.body["order_id"] = order_id
    return error


_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
_WORDS = {
    404: "there is nothing at this path: see /docs for the list",
    405: "this path does not know this method: see /docs for the list",
}


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Give the app our error bodies. `routers`: those it was made of."""
    methods_by_path = _methods_by_path(routers)

    async def on_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)  # noqa: S101 - registered for this type
        return json_response(error.body, error.status, error.headers)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
        if error.status_code == 400:  # FastAPI's word for a body that is not UTF-8: malformed like any other
            return json_response(invalid("body", "the body is not valid JSON in UTF-8: mend it").body, 422)
        code = _CODES.get(error.status_code, f"HTTP_{error.status_code}")
        answer = {"code": code, "message": _WORDS.get(error.status_code, str(error.detail))}
        headers = dict(error.headers or {})
        if error.status_code == 405:  # the router names the methods of the first route of this path alone
            headers["Allow"] = ", ".join(_methods_of(methods_by_path, request.url.path))
        return json_response(answer, error.status_code, headers)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
        return json_response(invalid_body(error), 422)

    async def on_unavailable(_: Request, error: Exception) -> Response:
        return json_response({"code": "NOT_READY", "message": str(error)}, 503, {"Retry-After": "1"})

    async def on_credentials(_: Request, error: Exception) -> Response:
        message = "the credentials file is missing or damaged: run `tradingd doctor` on the daemon's machine"
        return json_response({"code": "CREDENTIALS", "message": message}, 503)

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    async def on_conflict(_: Request, error: Exception) -> Response:
        assert isinstance(error, ControlConflictError)  # noqa: S101 - registered for this type
        if isinstance(error, VenueSilentError):  # a denial, before any order was made
            said = ApiError(422, error.code, str(error), family=RATE_LIMIT, rule="venue_rate_limit")
            return json_response(said.body, error.status)
        return json_response({"code": error.code, "message": str(error)}, error.status)

    app.add_exception_handler(ControlConflictError, on_conflict)
    app.add_exception_handler(ControlUnavailableError, on_unavailable)
    app.add_exception_handler(CredentialsError, on_credentials)


def _methods_by_path(routers: Sequence[APIRouter]) -> list[tuple[re.Pattern[str], set[str]]]:
    return [
        (route.path_regex, route.methods or set())
        for router in routers for route in router.routes if isinstance(route, APIRoute)
    ]


def _methods_of(methods_by_path: Sequence[tuple[re.Pattern[str], set[str]]], path: str) -> list[str]:
    """Every method this path knows, sorted."""
    known = set[str]().union(*(methods for pattern, methods in methods_by_path if pattern.match(path)))
    return sorted(known) or ["GET"]  # what the reference does not list is only read


def invalid_body(error: RequestValidationError) -> dict[str, Any]:
    """{code, family, rule, value, limit, message, field, errors}: the same keys as a refusal by the rules.

    Names each field and the remedy; `value` stays empty: what was sent is never echoed.
    """
    errors: list[dict[str, str]] = []
    for problem in error.errors():
        places = () if problem["type"] == "json_invalid" else problem["loc"]  # there it is an offset, no field
        field = ".".join(str(part) for part in places if not _is_no_field(part)) or "body"
        known = next((each for each in errors if each["field"] == field), None)
        if known is None:
            errors.append({"field": field, "message": _remedy(problem)})
        elif known["message"] != _remedy(problem):  # a field that may be this or that, and is neither
            known["message"] += f"; or {_remedy(problem)}"
    errors = errors[:20]
    first = errors[0] if errors else {"field": "body", "message": "the request could not be read"}
    return {
        "code": "INVALID_REQUEST", "family": INVALID_FAMILY, "rule": first["field"], "value": "",
        "limit": first["message"], "message": f"{first['field']}: {first['message']}", "field": first["field"],
        "errors": errors,
    }


def _is_no_field(part: str | int) -> bool:
    """Where the value came from, or the validator's own name for one branch of a union: nobody's field."""
    return part in ("body", "query", "path", "header") or bool(_BRANCH.fullmatch(str(part)))


def _remedy(problem: Any) -> str:
    kind, said = problem["type"], str(problem["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "unknown field: remove it or mend its spelling (see /docs)"
    if kind == "missing":
        return "required: add it"
    if kind == "json_invalid":
        return NO_JSON
    return said[:1].lower() + said[1:]
