"""Risk for people: the limits and who set them, the locks and how to lift them, the figures of each day."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from bus.messages.orders import OrderDenied
from bus.messages.system import LiftLock
from tradingd.api.access import ControlOf, Operator, Viewer
from tradingd.api.errors import ApiError, ErrorBody, json_response
from tradingd.api.models import Responses
from tradingd.api.routes_read import ERRORS
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.parameters import number_views
from tradingd.read_model_risk import DayView, LockView
from tradingd.risk_settings import LimitView

_UNKNOWN: Final[Responses] = {404: {"model": ErrorBody, "description": "No lock of this id holds"}}
LockId = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]
Reason = Annotated[str, Query(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]

router = APIRouter(prefix="/api", tags=["risk"], responses=ERRORS)


@dataclass(frozen=True, slots=True)
class LiftAnswer:
    """Which lock was ended, and of what."""

    lifted: LockView
    state: Literal["lifted"] = "lifted"


@router.get("/limits", response_model=list[LimitView])
async def limits(control: ControlOf, _: Viewer) -> Response:
    """The three settings, what is derived from them and every limit of [risk] as it holds, and who set each: default,
    tolerance, preset, config, or a version of tuning.
    """
    return json_response(number_views(control.settings, control.read_model.tuning.current))


@router.get("/stats/daily", response_model=list[DayView])
async def daily(control: ControlOf, _: Viewer, days: Annotated[int, Query(ge=1, le=800)] = 30) -> Response:
    """Trades, wins, losses, profit, drawdown and Sharpe of each UTC day, newest first."""
    return json_response(control.read_model.risk.day_views(days))


@router.get("/locks", response_model=list[LockView])
async def locks(control: ControlOf, _: Viewer) -> Response:
    """What keeps new entries out for a while, and why."""
    return json_response(control.read_model.risk.lock_views(control.now()))


@router.delete("/locks/{lock_id}", response_model=LiftAnswer, responses=OPERATOR_ERRORS | _UNKNOWN)
async def lift(control: ControlOf, who: Operator, lock_id: LockId, reason: Reason = "") -> Response:
    """End a lock before its time."""
    known = {view.id: view for view in control.read_model.risk.lock_views(control.now())}
    if lock_id in known:
        facts = await control.execute(LiftLock(lock_id, who.user, reason or f"lifted by {who.user}"), by=who.user)
        if not any(isinstance(message.body, OrderDenied) for message in facts):
            return json_response(LiftAnswer(known[lock_id]))
    told = f"no lock of the id {lock_id!r} holds: `tradingd locks` and GET /api/locks list those that do"
    raise ApiError(404, "UNKNOWN_LOCK", told)
