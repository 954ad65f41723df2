"""Coinbase's answers about orders to execution reports. Pure.

The one rule: an order ends only by the venue's own word. Whatever leaves a doubt is "unknown". Prices, sizes and fees
come from the list of fills alone, never from an order's averages: each fill counts once, by its id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.answers import Answer, AnswerError
from exchanges.coinbase.wire_values import TimeError, time_ns
from market.instrument import Instrument
from market.money import ZERO, MoneyError, parse_decimal

ENDED: Final[Mapping[str, ExecType]] = {
    "CANCELLED": "cancelled", "EXPIRED": "expired", "FAILED": "rejected",
}
ALIVE: Final = frozenset({"PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"})
FILLED: Final = "FILLED"
_REFUSED_BEFORE_MATCHING: Final = frozenset({401, 403, 429})
_UNDECIDED: Final = frozenset({408, 409, 499})
"""Timed out, in conflict with what exists already, given up half-way: no word about the order."""
_VAGUE: Final = frozenset({
    "", "UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON", "UNKNOWN", "INTERNAL", "TIMEOUT", "UNAVAILABLE",
    "UNKNOWN_CREATE_ORDER_FAILURE_REASON", "PREVIEW_UNKNOWN_FAILURE_REASON",
})


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """An order as the venue has it. `ended` says how, None while it works; `quantity` is 0 where it is not said."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    product: str
    executed: Decimal
    ended: ExecType | None
    is_filled: bool
    ts_event: int
    quantity: Decimal
    reason: str

    @property
    def is_over(self) -> bool:
        """Nothing more happens to it."""
        return self.is_filled or self.ended is not None


# ---- a new order -----------------------------------------------------------------------------------


def created_order_id(answer: Answer, client_order_id: ClientOrderId) -> VenueOrderId:
    """The venue's id in a good answer to a new order; raises `AnswerError` unless it is the answer to ours."""
    body = answer.body
    success = body.get("success_response") if isinstance(body, dict) else None
    if not answer.is_ok or not isinstance(success, dict) or body.get("success") is not True:
        raise AnswerError("no success_response")
    echoed, order_id = success.get("client_order_id"), success.get("order_id")
    if echoed != client_order_id:
        raise AnswerError(f"asked for {client_order_id}, answered about {str(echoed)[:40]!r}")
    if type(order_id) is not str or not order_id:
        raise AnswerError(f"order_id {str(order_id)[:40]!r}")
    return VenueOrderId(order_id)


def refusal(answer: Answer) -> str:
    """Why the order certainly does not exist at the venue; "" when it may."""
    if answer.status in _REFUSED_BEFORE_MATCHING:
        return f"HTTP {answer.status} {answer.message}".strip()
    body = answer.body
    if not isinstance(body, dict):
        return ""
    if answer.is_ok and body.get("success") is False:
        found = body.get("error_response")
        error = found if isinstance(found, dict) else {}
        words = [str(error.get(key) or "") for key in ("error", "preview_failure_reason", "new_order_failure_reason")]
        words.append(str(body.get("failure_reason") or ""))
        clear = dict.fromkeys(word for word in words if word not in _VAGUE)
        said = ": ".join([*clear, str(error.get("message") or "")])
        return said.strip(": ")[:200] if clear and not _is_duplicate(said) else ""
    is_clear = 400 <= answer.status < 500 and answer.status not in _UNDECIDED
    if is_clear and str(body.get("error") or "") not in _VAGUE and not _is_duplicate(answer.message):
        return f"HTTP {answer.status} {answer.message}"
    return ""


def _is_duplicate(said: str) -> bool:
    """What is refused is the copy: the first order of this id does exist."""
    return "duplicate" in said.lower()


def cancel_refusal(answer: Answer, venue_order_id: str) -> str:
    """Why the venue does not cancel; "" when it does."""
    if not answer.is_ok:
        return f"HTTP {answer.status} {answer.message}".strip()
    results = answer.body.get("results") if isinstance(answer.body, dict) else None
    for row in results if isinstance(results, list) else ():
        if isinstance(row, dict) and row.get("order_id") == venue_order_id:
            return "" if row.get("success") is True else str(row.get("failure_reason") or "no reason given")[:100]
    return "the venue did not answer about this order"


# ---- an order as the venue has it ------------------------------------------------------------------


def parse_status(row: Any) -> OrderStatus:
    """A row of `orders/historical`; raises `AnswerError`."""
    try:
        return _status(row)
    except (KeyError, TypeError, AttributeError, MoneyError, TimeError) as error:
        raise AnswerError(f"order: {type(error).__name__} {error}") from None


def _status(row: Any) -> OrderStatus:
    status, order_id, client_order_id = row["status"], row["order_id"], row["client_order_id"]
    if status not in ENDED and status not in ALIVE and status != FILLED:
        raise AnswerError(f"status {str(status)[:40]!r}")
    if type(order_id) is not str or not order_id or type(client_order_id) is not str:
        raise AnswerError(f"order_id {str(order_id)[:40]!r}, client_order_id {str(client_order_id)[:40]!r}")
    executed = parse_decimal(row["filled_size"] or "0", "filled_size")
    quantity = _base_size(row.get("order_configuration"))
    if row.get("size_in_quote") is True and quantity == ZERO:
        raise AnswerError("sized in quote: not an order of ours")
    words = (row.get(key) for key in ("reject_reason", "reject_message", "cancel_message"))
    reason = ": ".join(str(word)[:100] for word in words if word and word != "REJECT_REASON_UNSPECIFIED")
    moment = row.get("last_fill_time") or row["created_time"]
    return OrderStatus(
        ClientOrderId(client_order_id), VenueOrderId(order_id), str(row["product_id"]), executed,
        _ended(status, executed, quantity), status == FILLED, time_ns(moment), quantity, reason or status,
    )


def _ended(status: str, executed: Decimal, quantity: Decimal) -> ExecType | None:
    if status == "FAILED" and executed:
        return "cancelled"  # a reject that filled is no reject
    if status == FILLED and ZERO < executed < quantity:
        return "expired"  # the venue is done with it, and it is less than was asked for
    return ENDED.get(status)


def _base_size(configuration: Any) -> Decimal:
    """What was asked for, in base; 0 when it is not said so."""
    for terms in configuration.values() if isinstance(configuration, dict) else ():
        if isinstance(terms, dict) and terms.get("base_size"):
            return parse_decimal(terms["base_size"], "base_size")
    return ZERO


def story(
    status: OrderStatus, fills: Sequence[Any], instrument: Instrument
) -> tuple[list[ExecutionReport], Decimal]:
    """The whole story of an order from its status and its fills, and what the fills add up to.

    The end is told only when the fills are at least what was executed: an end told before a fill would lose it.
    Raises `AnswerError` for fills that cannot be read.
    """
    plain = _Plain(status, instrument.symbol)
    if status.ended == "rejected":
        return [plain.report("rejected", status.reason)], ZERO
    reports = [plain.report("accepted", "")]
    filled = ZERO
    for row in sorted(fills, key=_fill_order):
        report = _fill(row, status, instrument)
        filled += report.quantity
        reports.append(report)
    if filled < status.executed or (status.is_filled and not filled):
        said = f"executed {status.executed}, but its fills add up to {filled}"
        return [*reports, plain.report("unknown", said)], filled
    if status.ended is not None and filled == status.executed:
        reports.append(plain.report(status.ended, status.reason))
    elif status.ended is not None:
        said = f"ended with {status.executed} executed, but its fills add up to {filled}"
        reports.append(plain.report("unknown", said))
    return reports, filled


def _fill_order(row: Any) -> tuple[str, str]:
    return (str(row.get("trade_time")), str(row.get("trade_id"))) if isinstance(row, dict) else ("", "")


def _fill(row: Any, status: OrderStatus, instrument: Instrument) -> ExecutionReport:
    try:
        trade_id = row["trade_id"]
        price, size = parse_decimal(row["price"], "price"), parse_decimal(row["size"], "size")
        fee = parse_decimal(row.get("commission") or "0", "commission")
        at = time_ns(row["trade_time"])
    except (KeyError, TypeError, AttributeError, MoneyError, TimeError) as error:
        raise AnswerError(f"fill: {type(error).__name__} {error}") from None
    if type(trade_id) is not str or not trade_id or price <= ZERO or size <= ZERO:
        raise AnswerError(f"fill {str(trade_id)[:40]!r} of {size} at {price}")
    if row.get("size_in_quote") is True or row.get("trade_type", "FILL") != "FILL":
        raise AnswerError(f"fill {trade_id} is of type {str(row.get('trade_type'))[:40]!r}, or sized in quote")
    return ExecutionReport(
        status.client_order_id, instrument.symbol, "fill", at, status.venue_order_id, TradeId(trade_id), size, price,
        fee, instrument.quote, row.get("liquidity_indicator") == "MAKER",
    )


@dataclass(frozen=True, slots=True)
class _Plain:
    """Reports about one order that are not fills."""

    status: OrderStatus
    symbol: str

    def report(self, exec_type: ExecType, reason: str) -> ExecutionReport:
        status = self.status
        return ExecutionReport(
            status.client_order_id, self.symbol, exec_type, status.ts_event, status.venue_order_id, reason=reason
        )
