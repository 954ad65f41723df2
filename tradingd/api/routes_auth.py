"""Login."""

import asyncio
import logging
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response

from tradingd.api.access import BEARER, AuthOf, Viewer
from tradingd.api.errors import ApiError, ErrorBody, json_response
from tradingd.api.models import LoginRequest, LogoutAnswer, TokenAnswer
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.auth import LoginRefusedError, TooManyTriesError
from tradingd.control import ControlUnavailableError

router = APIRouter(prefix="/api/auth", tags=["login"])

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 2
"""Passwords hashed at the same time: each takes 19 MiB and 20 ms of a core that also trades."""


@router.post(
    "/login", response_model=TokenAnswer,
    responses={
        401: {"model": ErrorBody, "description": "Wrong user or password"},
        403: {"model": ErrorBody, "description": "A page of another origin asked"},
        413: {"model": ErrorBody, "description": "The body is too large"},
        422: {"model": ErrorBody, "description": "The request is malformed"},
        429: {"model": ErrorBody, "description": "Too many tries or requests: see Retry-After"},
        503: {"model": ErrorBody, "description": "The credentials cannot be read"},
    },
)
async def login(request: Request, auth: AuthOf, who: LoginRequest) -> Response:
    """A token for user and password. Five tries a minute."""
    address = request.client.host if request.client is not None else ""
    hashing: asyncio.Semaphore = request.app.state.hashing
    try:
        async with hashing:
            token = await asyncio.to_thread(auth.login, who.username, who.password, address)
    except LoginRefusedError as error:
        _log.warning("a login from %s was refused: wrong user or password", address)
        message = f"{error}: try again, or set a new password with `tradingd user password`"
        raise ApiError(401, "WRONG_CREDENTIALS", message, headers={"WWW-Authenticate": "Bearer"}) from error
    except TooManyTriesError as error:
        raise ApiError(
            429, "TOO_MANY_TRIES", str(error), headers={"Retry-After": str(error.retry_after_s)}
        ) from error
    return json_response(TokenAnswer(token, "bearer", auth.token_s))


# Not in the reference: whoever tries every operation there would void the token that it tries with.
@router.post("/logout", response_model=LogoutAnswer, responses=OPERATOR_ERRORS, include_in_schema=False)
async def logout(
    auth: AuthOf, who: Viewer, held: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Response:
    """Void the token this request carries. Other tokens of the same user stay."""
    assert held is not None  # noqa: S101 - `Viewer` came before
    try:
        await asyncio.to_thread(auth.logout, held.credentials)
    except OSError as error:
        told = f"the token is void, but only until the daemon starts anew: it cannot be written down ({error})"
        raise ControlUnavailableError(told) from error
    return json_response(LogoutAnswer(who.user, "the token is void"))


def hashing_limit() -> asyncio.Semaphore:
    """For `app.state.hashing`."""
    return asyncio.Semaphore(_AT_ONCE)
