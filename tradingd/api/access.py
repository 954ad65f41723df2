"""Who may call what: the bearer token, and the two roles."""

from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tradingd.api.errors import ApiError
from tradingd.auth import Auth, Principal, TokenError
from tradingd.control import Control

BEARER: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", description="From POST /api/auth/login")


def control_of(request: Request) -> Control:
    """The runtime this app was made for."""
    control: Control = request.app.state.control
    return control


def auth_of(request: Request) -> Auth:
    """The credentials this app was made with."""
    auth: Auth = request.app.state.auth
    return auth


async def viewer(
    request: Request, held: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Principal:
    """Anyone with a token."""
    if held is None:
        raise _unauthenticated("a token is needed: POST /api/auth/login, then send Authorization: Bearer TOKEN")
    try:
        return auth_of(request).principal(held.credentials)
    except TokenError as error:
        raise _unauthenticated(str(error)) from error


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request is carried out once, and answered the same again.",
    ),
]


async def operator(who: Annotated[Principal, Depends(viewer)], key: IdempotencyKey = None) -> Principal:
    """Only who may change things. `key` is for `tradingd.api.idempotency`, here it is checked and documented."""
    if not who.is_operator:
        raise ApiError(403, "FORBIDDEN", f"{who.user} is a viewer and may only look: log in as an operator")
    return who


def _unauthenticated(message: str) -> ApiError:
    return ApiError(401, "NOT_AUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})


ControlOf = Annotated[Control, Depends(control_of)]
AuthOf = Annotated[Auth, Depends(auth_of)]
Viewer = Annotated[Principal, Depends(viewer)]
Operator = Annotated[Principal, Depends(operator)]
