"""The account as a whole: target weights, and deposits and withdrawals on paper."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ChangeFunds, OrderDenied, OrderInitialized, Rebalance, TargetWeight
from market.money import to_text
from tradingd.api.access import ControlOf, Operator
from tradingd.api.errors import ApiError, ErrorBody, denied, json_response
from tradingd.api.models import Responses
from tradingd.api.models_orders import FundsAnswer, FundsRequest, RebalanceAnswer, RebalanceRequest
from tradingd.api.routes_read import symbol_of
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.control import Control, ControlUnavailableError

_CONFLICT: Final[Responses] = {409: {"model": ErrorBody, "description": "Only a paper account can be changed so"}}
_UNKNOWN: Final[Responses] = {404: {"model": ErrorBody, "description": "There is no such symbol"}}

router = APIRouter(prefix="/api", tags=["account"], responses=OPERATOR_ERRORS)


@router.post("/positions/rebalance", response_model=RebalanceAnswer, status_code=202, responses=_UNKNOWN)
async def rebalance(control: ControlOf, who: Operator, request: RebalanceRequest) -> Response:
    """Bring positions to target weights: sales first, then purchases, each through the gate."""
    targets = tuple(
        TargetWeight(symbol_of(control, name), weight) for name, weight in sorted(request.weights.items())
    )
    facts = await control.execute(Rebalance(targets, f"by {who.user}"), by=who.user)
    _raise_refusal(facts)
    made = tuple(
        message.body.order.client_order_id for message in facts if isinstance(message.body, OrderInitialized)
    )
    return json_response(RebalanceAnswer({each.symbol: to_text(each.weight) for each in targets}, made), 202)


@router.post("/account/deposit", response_model=FundsAnswer, responses=_CONFLICT)
async def deposit(control: ControlOf, who: Operator, request: FundsRequest) -> Response:
    """Paper: put money into the account. It is no profit."""
    return await _change(control, who.user, request.amount, request.reason or f"deposit by {who.user}")


@router.post("/account/withdraw", response_model=FundsAnswer, responses=_CONFLICT)
async def withdraw(control: ControlOf, who: Operator, request: FundsRequest) -> Response:
    """Paper: take free money out of the account. It is no loss."""
    return await _change(control, who.user, -request.amount, request.reason or f"withdrawal by {who.user}")


async def _change(control: Control, user: str, delta: Decimal, reason: str) -> Response:
    if control.settings.mode != "paper":
        told = "this account is at a venue: move the money there, it is found by itself"
        raise ApiError(409, "NOT_PAPER", told)
    facts = await control.execute(ChangeFunds(delta, reason), by=user)
    _raise_refusal(facts)
    for message in facts:
        fact = message.body
        if isinstance(fact, FundsChanged):
            return json_response(FundsAnswer(fact.asset, to_text(fact.delta), to_text(fact.balance)))
    raise ControlUnavailableError("the change was sent, but nothing is known of it yet: see `tradingd status`")


def _raise_refusal(facts: Sequence[Message]) -> None:
    """Of the command itself; an order that is refused on the way is shown among the orders."""
    for message in facts:
        if isinstance(message.body, OrderDenied) and message.body.order is None:
            raise denied(message.body)
