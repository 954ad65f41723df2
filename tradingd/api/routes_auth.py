"""Login."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from tradingd.api.access import AuthOf
from tradingd.api.errors import ApiError, ErrorBody, json_response
from tradingd.api.models import LoginRequest, TokenAnswer
from tradingd.auth import LoginRefusedError, TooManyTriesError

router = APIRouter(prefix="/api/auth", tags=["login"])

_AT_ONCE: Final = 2
"""Passwords hashed at the same time: each takes 19 MiB and 20 ms of a core that also trades."""


@router.post(
    "/login", response_model=TokenAnswer,
    responses={
        401: {"model": ErrorBody, "description": "Wrong user or password"},
        403: {"model": ErrorBody, "description": "A page of another origin asked"},
        422: {"model": ErrorBody, "description": "The request is malformed"},
        429: {"model": ErrorBody, "description": "Too many tries: see Retry-After"},
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
        message = f"{error}: try again, or set a new password with `tradingd user password`"
        raise ApiError(401, "WRONG_CREDENTIALS", message, headers={"WWW-Authenticate": "Bearer"}) from error
    except TooManyTriesError as error:
        raise ApiError(
            429, "TOO_MANY_TRIES", str(error), headers={"Retry-After": str(error.retry_after_s)}
        ) from error
    return json_response(TokenAnswer(token, "bearer", auth.token_s))


def hashing_limit() -> asyncio.Semaphore:
    """For `app.state.hashing`."""
    return asyncio.Semaphore(_AT_ONCE)
