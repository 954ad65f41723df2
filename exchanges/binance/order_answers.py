"""Binance's answers about orders to execution reports. Pure.

The one rule: an order ends only by the venue's own word. Whatever leaves a doubt is "unknown".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.answers import Answer, AnswerError
from market.money import ZERO, MoneyError, parse_decimal

_MS_NS: Final = 1_000_000
AMBIGUOUS_CODES: Final = frozenset({-1000, -1001, -1006, -1007})
"""UNKNOWN, DISCONNECTED, UNEXPECTED_RESP, TIMEOUT: "execution status unknown" in the venue's error list."""
NO_SUCH_ORDER: Final = -2013
ARCHIVED: Final = -2026
"""Ended more than ninety days ago without a fill."""
CANCEL_REFUSED: Final = -2011
KEY_CODES: Final = frozenset({-1002, -1022, -2014, -2015})
"""UNAUTHORIZED, INVALID_SIGNATURE, BAD_API_KEY_FMT, REJECTED_MBX_KEY: nothing will work until a person acts."""
_REFUSED_BEFORE_MATCHING: Final = frozenset({403, 418, 429})
_DUPLICATE: Final = "duplicate order"
_ENDED: Final[dict[str, ExecType]] = {
    "CANCELED": "cancelled",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
    "REJECTED": "rejected",
}
_ALIVE: Final = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW", "PENDING_CANCEL", "FILLED"})


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """An order as the venue has it: `ended` says how, None while it works or when it is filled.

    `quantity` is what was asked for, 0 where the answer does not say.
    """

    venue_order_id: VenueOrderId
    executed: Decimal
    ended: ExecType | None
    ts_event: int
    quantity: Decimal = ZERO

    @property
    def is_open(self) -> bool:
        """Something may still happen to it."""
        return self.ended is None and self.executed < self.quantity


def submission_reports(
    answer: Answer, client_order_id: ClientOrderId, symbol: str, now: int
) -> list[ExecutionReport]:
    """What the answer to a new order says: accepted, fills, its end; rejected; or "unknown"."""
    if answer.is_ok:
        try:
            return _accepted(answer.body, client_order_id, symbol)
        except (AnswerError, KeyError, TypeError, MoneyError) as error:
            return [ExecutionReport(client_order_id, symbol, "unknown", now, reason=f"odd answer: {error}")]
    said = f"{answer.code}: {answer.message}" if answer.code else f"HTTP {answer.status} {answer.message}".strip()
    exec_type: ExecType = "rejected" if _is_refusal(answer) else "unknown"
    return [ExecutionReport(client_order_id, symbol, exec_type, now, reason=said)]


def _is_refusal(answer: Answer) -> bool:
    """Whether the order certainly does not exist at the venue."""
    if not 400 <= answer.status < 500:
        return False
    if answer.status in _REFUSED_BEFORE_MATCHING:
        return True
    if answer.code == 0 or answer.code in AMBIGUOUS_CODES:
        return False
    return _DUPLICATE not in answer.message.lower()  # a duplicate: the first one does exist


def _accepted(body: Any, client_order_id: ClientOrderId, symbol: str) -> list[ExecutionReport]:
    status = parse_status(body, client_order_id)
    if status.ended == "rejected":
        return [_plain(status, client_order_id, symbol, "rejected", "rejected by the venue")]
    reports = [_plain(status, client_order_id, symbol, "accepted", "")]
    filled = ZERO
    for row in body.get("fills") or ():
        report = _fill(row, row["tradeId"], status, client_order_id, symbol)
        filled += report.quantity
        reports.append(report)
    if filled != status.executed:
        said = f"executed {status.executed}, but the answer lists fills of {filled}"
        return [*reports, _plain(status, client_order_id, symbol, "unknown", said)]
    if status.ended is not None:
        reports.append(_plain(status, client_order_id, symbol, status.ended, str(body["status"])))
    return reports


def parse_status(body: Any, client_order_id: ClientOrderId) -> OrderStatus:
    """An order as REST shows it; raises `AnswerError` when it is another order's or of no known status."""
    if not isinstance(body, dict):
        raise AnswerError("the answer is not an object")
    echoed = body.get("clientOrderId")
    if echoed != client_order_id and body.get("origClientOrderId") != client_order_id:
        raise AnswerError(f"asked about {client_order_id}, answered about {str(echoed)[:40]!r}")
    status, number = body.get("status"), body.get("orderId")
    if (status not in _ENDED and status not in _ALIVE) or type(number) is not int:
        raise AnswerError(f"status {str(status)[:40]!r}, orderId {str(number)[:40]!r}")
    at_ms = body.get("transactTime", body.get("updateTime", body.get("time")))
    if type(at_ms) is not int:
        raise AnswerError("neither transactTime, updateTime nor time")
    executed = parse_decimal(body.get("executedQty"), "executedQty")
    quantity = parse_decimal(body.get("origQty", "0"), "origQty")
    ended = _ENDED.get(str(status))
    if ended == "rejected" and executed:
        ended = "cancelled"  # a reject that filled is no reject
    if status == "FILLED" and ZERO < executed < quantity:
        ended = "expired"  # self-trade prevention took the rest away
    return OrderStatus(VenueOrderId(str(number)), executed, ended, at_ms * _MS_NS, quantity)


def end_in(answer: Answer, client_order_id: ClientOrderId) -> OrderStatus | None:
    """The order as a good answer to its cancel has it; None where that does not say that it is over."""
    try:
        status = parse_status(answer.body, client_order_id)
    except (AnswerError, MoneyError):
        return None
    return status if answer.is_ok and status.ended is not None else None


def end_report(ended: OrderStatus, client_order_id: ClientOrderId, symbol: str) -> ExecutionReport:
    """What `end_in` found, once all that it counts was told."""
    said = "as the answer to its cancel has it"
    return _plain(ended, client_order_id, symbol, ended.ended or "cancelled", said)


def query_reports(
    status: OrderStatus, trades: Sequence[Any], client_order_id: ClientOrderId, symbol: str
) -> list[ExecutionReport]:
    """The whole story of an order from its status and its `myTrades`.

    The end is told only when the trades add up to what was executed: an end told before a fill would lose it.
    """
    if status.ended == "rejected":
        return [_plain(status, client_order_id, symbol, "rejected", "rejected by the venue")]
    reports = [_plain(status, client_order_id, symbol, "accepted", "")]
    filled = ZERO
    for row in trades:
        if isinstance(row, dict) and str(row.get("orderId", status.venue_order_id)) != status.venue_order_id:
            continue  # a server that lists all trades of the symbol whatever it is asked for
        try:
            report = _fill(row, row["id"], status, client_order_id, symbol)
        except (KeyError, TypeError, MoneyError) as error:
            raise AnswerError(f"myTrades: {type(error).__name__} {error}") from None
        filled += report.quantity
        reports.append(report)
    if filled != status.executed:
        said = f"executed {status.executed}, but its trades add up to {filled}"
        return [*reports, _plain(status, client_order_id, symbol, "unknown", said)]
    if status.ended is not None:
        reports.append(_plain(status, client_order_id, symbol, status.ended, "as the venue has it"))
    return reports


def _fill(
    row: Any, trade_id: object, status: OrderStatus, client_order_id: ClientOrderId, symbol: str
) -> ExecutionReport:
    price, quantity = parse_decimal(row["price"], "price"), parse_decimal(row["qty"], "qty")
    if type(trade_id) is not int or price <= ZERO or quantity <= ZERO:
        raise TypeError(f"fill {str(trade_id)[:40]!r} of {quantity} at {price}")
    at_ms = row.get("time")
    return ExecutionReport(
        client_order_id, symbol, "fill", at_ms * _MS_NS if type(at_ms) is int else status.ts_event,
        status.venue_order_id, TradeId(str(trade_id)), quantity, price,
        parse_decimal(row["commission"], "commission"), str(row["commissionAsset"]), row.get("isMaker") is True,
    )


def _plain(
    status: OrderStatus, client_order_id: ClientOrderId, symbol: str, exec_type: ExecType, reason: str
) -> ExecutionReport:
    return ExecutionReport(
        client_order_id, symbol, exec_type, status.ts_event, status.venue_order_id, reason=reason
    )
