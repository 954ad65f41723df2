"""Orders by hand: submit, change, cancel, close. The engine and its gate judge them like any other order."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Body
from starlette.responses import Response

from bus.ids import ClientOrderId
from bus.messages.header import Message
from bus.messages.orders import (
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    OrderDenied,
    OrderInitialized,
    Protection,
    SubmitOrder,
    TrailSpec,
)
from tradingd.api.access import ControlOf, IdempotencyKey, Operator
from tradingd.api.errors import ApiError, ErrorBody, denied, invalid, json_response
from tradingd.api.models import CloseAnswer, CloseRefused, CloseRequest, Responses, TrailRequest
from tradingd.api.models_orders import ModifyRequest, OrderRequest
from tradingd.api.routes_read import OrderId, order_or_past, symbol_of, unknown_order
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.control import Control, ControlUnavailableError
from tradingd.read_model_views import WORKING_STATES, OrderView

_KEYED_PREFIX: Final = "td-k"
_ADDED_FIELDS: Final = frozenset({"protection", "expire_at", "max_duration_s", "improve", "ends_with_day"})
_TRAIL_DEFAULTS: Final = {"price_source": "last"}  # and None for the others
_NS: Final = 1_000_000_000
_HUNDRED: Final = Decimal(100)
_CONFLICT: Final[Responses] = {409: {"model": ErrorBody, "description": "The state does not allow it any more"}}
_UNKNOWN: Final[Responses] = {404: {"model": ErrorBody, "description": "There is no such thing"}}

router = APIRouter(prefix="/api", tags=["orders"], responses=OPERATOR_ERRORS)

@router.post("/orders", response_model=OrderView, status_code=202, responses=_CONFLICT)
async def submit(
    control: ControlOf, who: Operator, request: OrderRequest, key: IdempotencyKey = None
) -> Response:
    """Submit an order. With an Idempotency-Key the same request can be sent again without ordering twice."""
    _raise_problem(request.problem())
    symbol = symbol_of(control, request.symbol)
    if key is None:
        order_id = control.next_manual_order_id()
    else:
        # Key and body are both in the id, so the answer holds after a restart too: the engine knows its ids.
        order_id = keyed_order_id(who.user, key, request, symbol)
        _refuse_other_body(control, order_id)
    command = SubmitOrder(
        client_order_id=order_id, symbol=symbol, side=request.side, order_type=request.type,
        quantity=request.quantity, origin="manual", price=request.price, stop_price=request.stop_price,
        trail=_trail(request.trail), reduce_only=request.side == "sell", tag=request.tag, reason=f"by {who.user}",
        expire_at=_end(control, request), protection=_protection(request), improve=request.improve,
        ends_with_day=request.ends_with_day,
    )
    if control.read_model.order(order_id) is None and not control.read_model.is_past(order_id):
        facts = await control.execute(command, by=who.user)
        _raise_denial(facts, order_id)
    return await _accepted(control, order_id)


@router.patch("/orders/{order_id}", response_model=OrderView, status_code=202, responses=_UNKNOWN | _CONFLICT)
async def modify(control: ControlOf, who: Operator, order_id: OrderId, request: ModifyRequest) -> Response:
    """Change a working order. The answer is the order as it is now, or, when it is at the venue, the one that takes
    its place as soon as the venue has ended it."""
    _working(control, order_id, "change")
    _raise_problem(request.problem())
    command = ModifyOrder(
        ClientOrderId(order_id), request.quantity, request.price, request.stop_price, _trail(request.trail),
        f"changed by {who.user}",
    )
    facts = await control.execute(command, by=who.user)
    _raise_denial(facts, order_id)
    made = (message.body.order for message in facts if isinstance(message.body, OrderInitialized))
    new_id = next((order.client_order_id for order in made if order.replaces), ClientOrderId(order_id))
    return await _accepted(control, new_id)


@router.delete("/orders/{order_id}", response_model=OrderView, status_code=202, responses=_UNKNOWN | _CONFLICT)
async def cancel(control: ControlOf, who: Operator, order_id: OrderId) -> Response:
    """Cancel a working order. One at the venue ends when the venue says so: see its state."""
    view = _working(control, order_id, "cancel")
    facts = await control.execute(CancelOrder(ClientOrderId(order_id), f"cancelled by {who.user}"), by=who.user)
    after = control.read_model.order(order_id) or view
    denial = _denial(facts)
    if denial is not None:
        raise denied(denial, order_id) if after.state in WORKING_STATES else _ended(order_id, "cancel", after.state)
    return json_response(after, 202)


@router.post(
    "/positions/close", response_model=CloseAnswer, status_code=202, tags=["account"], responses=_UNKNOWN | _CONFLICT
)
async def close(
    control: ControlOf, who: Operator, request: Annotated[CloseRequest | None, Body()] = None
) -> Response:
    """Sell a position at market, or all of them when no symbol is given."""
    held = control.read_model.results.holdings
    if request is not None and request.symbol is not None:
        symbols = [symbol_of(control, request.symbol)]
        if symbols[0] not in held:
            told = f"there is no position in {symbols[0]}: `tradingd positions` and GET /api/positions list them"
            raise ApiError(404, "NO_POSITION", told)
    else:
        symbols = sorted(held)
    return await _close(control, who.user, symbols)


@router.post(
    "/positions/close-all", response_model=CloseAnswer, status_code=202, tags=["account"], responses=_CONFLICT
)
async def close_all(control: ControlOf, who: Operator) -> Response:
    """Sell every position at market."""
    return await _close(control, who.user, sorted(control.read_model.results.holdings))


async def _close(control: Control, user: str, symbols: Sequence[str]) -> Response:
    closing: list[str] = []
    orders: dict[str, None] = {}
    denials: list[OrderDenied] = []
    for symbol in symbols:
        facts = await control.execute(ClosePosition(symbol, f"closed by {user}"), by=user)
        denial = _denial(facts)
        made = [body.order.client_order_id for body in _bodies(facts) if isinstance(body, OrderInitialized)]
        if denial is not None and set(made) <= {denial.client_order_id}:
            denials.append(denial)
        else:
            closing.append(symbol)
            orders.update(dict.fromkeys(made))
    if denials and not closing:
        raise denied(denials[0], denials[0].client_order_id)
    refused = tuple(CloseRefused(denial.symbol, denial.code, denial.message) for denial in denials)
    return json_response(CloseAnswer(tuple(closing), tuple(orders), refused), 202)


def keyed_order_id(user: str, key: str, request: OrderRequest, symbol: str) -> ClientOrderId:
    """td-k + 16 hex digits of user and key + 8 of the body: 28 characters, room for a protective suffix."""
    given = request.model_dump(mode="json")
    # What was added later counts only when it is used: the same request keeps its id over an upgrade.
    for part in (given, given["protection"] or {}):
        if part.get("trail"):
            part["trail"] = {name: value for name, value in part["trail"].items() if value != _TRAIL_DEFAULTS.get(name)}
    body = {name: value for name, value in given.items() if value or name not in _ADDED_FIELDS} | {"symbol": symbol}
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    key_digest = hashlib.sha256(f"{user}\n{key}".encode()).hexdigest()[:16]
    return ClientOrderId(f"{_KEYED_PREFIX}{key_digest}{hashlib.sha256(text).hexdigest()[:8]}")


def _refuse_other_body(control: Control, order_id: str) -> None:
    same_key = order_id[: len(_KEYED_PREFIX) + 16]
    fold = control.read_model.order_fold
    for known in itertools.chain(fold.by_id, fold.forgotten_manual):
        if known.startswith(same_key) and len(known) == len(order_id) and known != order_id:
            raise ApiError(
                409, "IDEMPOTENCY_CONFLICT", "this Idempotency-Key was used for another order: use a new key",
                order_id=known,
            )


def _trail(trail: TrailRequest | None) -> TrailSpec | None:
    return None if trail is None else trail.spec()


def _protection(request: OrderRequest) -> Protection | None:
    wish = request.protection
    if wish is None:
        return None
    stop, target = wish.stop_percent, wish.take_profit_percent
    return Protection(
        None if stop is None else stop / _HUNDRED, _trail(wish.trail), None if target is None else target / _HUNDRED,
    )


def _end(control: Control, request: OrderRequest) -> int:
    """UTC ns; 0 = never."""
    ends = [] if request.expire_at is None else [request.expire_at]
    if request.max_duration_s is not None:
        ends.append(control.now() + request.max_duration_s * _NS)
    return max(min(ends), 1) if ends else 0


def _raise_problem(problem: tuple[str, str] | None) -> None:
    if problem is not None:
        raise invalid(*problem)


def _working(control: Control, order_id: str, verb: str) -> OrderView:
    """The order, which is still to be `verb`ed; raises `ApiError` for any other."""
    view = control.read_model.order(order_id)
    if view is None and control.read_model.is_past(order_id):
        raise _ended(order_id, verb)  # only what has ended is left to the journal
    if view is None:
        raise unknown_order(order_id)
    if view.state not in WORKING_STATES:
        raise _ended(order_id, verb, view.state)
    return view


async def _accepted(control: Control, order_id: str) -> Response:
    view = await order_or_past(control.read_model, order_id)
    if view is None:
        raise ControlUnavailableError(f"order {order_id} was sent, but nothing is known of it yet: ask for it again")
    if view.denial is not None:
        raise denied(view.denial, order_id)
    return json_response(view, 202)


def _raise_denial(facts: Sequence[Message], order_id: str) -> None:
    denial = _denial(facts)
    if denial is not None and denial.client_order_id == order_id:
        raise denied(denial, order_id)


def _denial(facts: Sequence[Message]) -> OrderDenied | None:
    return next((body for body in _bodies(facts) if isinstance(body, OrderDenied)), None)


def _bodies(facts: Sequence[Message]) -> Iterator[object]:
    return (message.body for message in facts)


def _ended(order_id: str, verb: str, state: str = "") -> ApiError:
    told = f"order {order_id} {f'is {state}' if state else 'has ended'} already: nothing is left to {verb}"
    return ApiError(409, "ALREADY_ENDED", told, order_id=order_id)
