"""/metrics for Prometheus. Not part of the OpenAPI document: its format is Prometheus' own."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from tradingd.api.access import control_of, viewer
from tradingd.api.errors import ApiError
from tradingd.settings import LOOPBACK, Settings

router = APIRouter(include_in_schema=False)
_BEARER = HTTPBearer(auto_error=False)


@router.get("/metrics")
async def metrics(
    request: Request, held: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Response:
    """The text format. Whether it needs a token: `metrics.access`."""
    control = control_of(request)
    if not control.settings.metrics.enabled:
        raise ApiError(404, "NOT_FOUND", "metrics are switched off: set metrics.enabled = true")
    if needs_token(control.settings):
        await viewer(request, held)
    from tradingd.metrics import CONTENT_TYPE, Metrics

    gathered: Metrics | None = getattr(request.app.state, "metrics", None)
    if gathered is None:
        gathered = request.app.state.metrics = Metrics(control)
    return Response(gathered.render(), media_type=CONTENT_TYPE)


def needs_token(settings: Settings) -> bool:
    """By default only when others than this machine can reach the API."""
    access = settings.metrics.access
    return access == "token" or (access == "auto" and settings.api.host not in LOOPBACK)
