"""What can be changed about trading as a whole: the operator's vote, the kill switch, the end of the process."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from bus.messages.header import Message
from bus.messages.orders import (
    CancelAllOrders,
    EngageKillSwitch,
    OrderCancelled,
    OrderPendingCancel,
    ReleaseKillSwitch,
)
from bus.messages.system import BY_RULE, VoteTradingState
from tradingd.api.access import ControlOf, Operator
from tradingd.api.errors import ErrorBody, json_response
from tradingd.api.models import KillAnswer, KillRequest, Responses, ShutdownAnswer, TradingAnswer, UnlockRequest
from tradingd.api.routes_read import ERRORS
from tradingd.control import Control

OPERATOR_ERRORS: Final[Responses] = ERRORS | {
    403: {"model": ErrorBody, "description": "A viewer may not do this, or a page of another origin asked"},
    413: {"model": ErrorBody, "description": "The body is too large"},
    409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another request"},
}
_SEVERITY: Final = {"halt": 0, "cancel": 1, "flatten": 2}

router = APIRouter(prefix="/api", tags=["trading"], responses=OPERATOR_ERRORS)


@router.post("/trading/start", response_model=TradingAnswer)
async def start(control: ControlOf, who: Operator) -> Response:
    """The operator votes ACTIVE. Trading begins when the other three voters agree."""
    await control.execute(VoteTradingState("operator", "ACTIVE", f"started by {who.user}"), by=who.user)
    return trading_answer(control)


@router.post("/trading/resume", response_model=TradingAnswer)
async def resume(control: ControlOf, who: Operator) -> Response:
    """After a pause: the operator votes ACTIVE again."""
    await control.execute(VoteTradingState("operator", "ACTIVE", f"resumed by {who.user}"), by=who.user)
    return trading_answer(control)


@router.post("/trading/pause", response_model=TradingAnswer)
async def pause(control: ControlOf, who: Operator) -> Response:
    """No new entries; trailing exits and stops go on."""
    await control.execute(VoteTradingState("operator", "REDUCING", f"paused by {who.user}"), by=who.user)
    return trading_answer(control)


@router.post("/trading/stop", response_model=TradingAnswer)
async def stop(control: ControlOf, who: Operator) -> Response:
    """Pause, and cancel the entries that still wait. Positions keep their exits.

    The answer does not wait for the venue: `awaiting_venue` names the entries whose end it has not confirmed yet.
    """
    reason = f"stopped by {who.user}"
    await control.execute(VoteTradingState("operator", "REDUCING", reason), by=who.user)
    facts = await control.execute(CancelAllOrders("entries", reason=reason), by=who.user)
    return trading_answer(control, cancelled_ids(facts), entries_awaiting_their_end(control))


@router.post("/trading/kill", response_model=KillAnswer)
async def kill(control: ControlOf, who: Operator, request: KillRequest) -> Response:
    """Lock trading until a person unlocks it. An engaged switch can be made stricter, never milder.

    `kill` in the answer says what is not yet cancelled and not yet sold; ask /api/status again.
    """
    latch = control.read_model.kill
    if latch is not None and latch.by != BY_RULE and _SEVERITY[latch.action] >= _SEVERITY[request.action]:
        return kill_answer(control, changed=False)
    await control.execute(EngageKillSwitch(request.action, request.reason, who.user), by=who.user)
    return kill_answer(control, changed=True)


@router.post(
    "/trading/unlock", response_model=KillAnswer,
    responses={409: {"model": ErrorBody, "description": "The KILL file is still there"}},
)
async def unlock(control: ControlOf, who: Operator, request: UnlockRequest) -> Response:
    """Release the kill switch. Trading goes on as the four votes allow. 409 while the KILL file is there."""
    if control.read_model.kill is None:
        return kill_answer(control, changed=False)
    await control.execute(ReleaseKillSwitch(who.user, request.reason), by=who.user)
    return kill_answer(control, changed=True)


# Not in the reference: whoever tries every operation there would end the daemon that it tries them on.
@router.post("/shutdown", response_model=ShutdownAnswer, status_code=202, include_in_schema=False)
async def shutdown(control: ControlOf, who: Operator) -> Response:
    """End the process in order. Positions stay open, and the stops and trails that the engine holds are watched by
    nobody until the next start takes them up again; only stops that rest at the venue go on."""
    control.request_shutdown(f"asked by {who.user}")
    return json_response(ShutdownAnswer("the daemon is shutting down"), 202)


def trading_answer(
    control: Control, cancelled: tuple[str, ...] = (), awaiting_venue: tuple[str, ...] = (),
) -> Response:
    """The present state."""
    model = control.read_model
    trading = model.trading()
    return json_response(TradingAnswer(trading.state, trading, model.kill_view(), cancelled, awaiting_venue))


def entries_awaiting_their_end(control: Control) -> tuple[str, ...]:
    """Entries that the venue was asked to cancel, now or before, and that may still be executed."""
    return tuple(
        record.id for record in control.read_model.order_fold.by_id.values()
        if record.is_working and record.detail == "pending_cancel" and record.spec.side == "buy"
    )


def kill_answer(control: Control, *, changed: bool) -> Response:
    """The present latch."""
    return json_response(KillAnswer(control.read_model.trading().state, control.read_model.kill_view(), changed))


def cancelled_ids(facts: Sequence[Message]) -> tuple[str, ...]:
    """Orders these facts end or are about to end, each once, in order."""
    found: dict[str, None] = {}
    for message in facts:
        if isinstance(message.body, OrderCancelled | OrderPendingCancel):
            found[message.body.client_order_id] = None
    return tuple(found)
