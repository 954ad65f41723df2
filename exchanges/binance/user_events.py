"""Binance account events ("User Data Streams" of the spot API) to execution reports."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.venue import AssetBalance
from market.money import ZERO, MoneyError, parse_decimal

_MS_NS: Final = 1_000_000
_NO_CHANGE: Final = frozenset({
    "outboundAccountPosition", "balanceUpdate", "listStatus", "externalLockUpdate",
})
_LAST_WORDS: Final[Mapping[str, str]] = {
    "eventStreamTerminated": "the venue ended the subscription",
    "serverShutdown": "the venue announced that it closes the connection",
    "listenKeyExpired": "the venue ended the subscription",
}
ACCOUNT_EVENTS: Final = frozenset({"executionReport", *_NO_CHANGE, *_LAST_WORDS})
_EXEC_TYPES: Final[Mapping[str, ExecType]] = {
    "NEW": "accepted",
    "CANCELED": "cancelled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
}
# An amendment changes the order without ending it.
_IGNORED_EXECUTIONS: Final = frozenset({"REPLACED"})
# Self-trade prevention takes quantity away; the status tells whether that ended the order.
_PREVENTION: Final = "TRADE_PREVENTION"
_ENDED_BY_PREVENTION: Final = frozenset({"EXPIRED_IN_MATCH", "EXPIRED", "FILLED"})


class UserEventError(ValueError):
    """An account event without the documented shape."""


class UnknownEventError(UserEventError):
    """An event of a kind that is not known: the venue may say more than it did when this was written."""


class StreamEndedError(UserEventError):
    """The venue's own word that nothing more will come on this stream."""


def parse_user_event(event: object, symbols: Mapping[str, str]) -> tuple[ExecutionReport, ...]:
    """Reports of one event, none where it says nothing of an order; raises `UserEventError`.

    `UnknownEventError` for a kind of event that is not known; `StreamEndedError` when the venue says that this was the
    last one.

    `symbols` maps wire names to the product's; an order of a symbol that is not traded here gives none.
    """
    if type(event) is not dict:
        raise UserEventError(f"expected an object, got {type(event).__name__}")
    kind = event.get("e")
    if kind in _NO_CHANGE:
        return ()
    if kind in _LAST_WORDS:
        raise StreamEndedError(_LAST_WORDS[str(kind)])
    if kind != "executionReport":
        raise (UnknownEventError if type(kind) is str else UserEventError)(f"event {str(kind)[:40]!r}")
    try:
        return _execution(event, symbols)
    except (KeyError, TypeError, MoneyError) as error:
        raise UserEventError(f"executionReport: {type(error).__name__} {error}") from None


def executed_in_all(event: object) -> Decimal | None:
    """How much of its order the venue has executed so far (`z`); None where the event says nothing of it.

    Raises `UserEventError`.
    """
    if type(event) is not dict or event.get("e") != "executionReport" or event.get("z") is None:
        return None
    try:
        return parse_decimal(event["z"], "z")
    except MoneyError as error:
        raise UserEventError(f"executionReport: {error}") from None


def balances_told(event: object) -> Mapping[str, AssetBalance]:
    """The balances by asset in an outboundAccountPosition; none in another event, or where they cannot be read.

    A hint: they say nothing of an order, and the balances are asked for in any case.
    """
    if type(event) is not dict or event.get("e") != "outboundAccountPosition":
        return {}
    try:
        return {
            str(row["a"]): AssetBalance(parse_decimal(row["f"], "f"), parse_decimal(row["l"], "l"))
            for row in event["B"]
        }
    except (KeyError, TypeError, MoneyError):
        return {}


def _execution(event: dict[str, Any], symbols: Mapping[str, str]) -> tuple[ExecutionReport, ...]:
    symbol = symbols.get(event["s"])
    execution = event["x"]
    if symbol is None or execution in _IGNORED_EXECUTIONS:
        return ()
    if execution == _PREVENTION:
        if event.get("X") not in _ENDED_BY_PREVENTION:
            return ()
        execution = "EXPIRED"
    ts_event = event["T"]
    if type(ts_event) is not int or ts_event <= 0:
        raise TypeError(f"T is {str(ts_event)[:40]!r}")
    client_order_id = ClientOrderId(_client_id(event))
    venue_order_id = VenueOrderId(str(event["i"]))
    if execution != "TRADE":
        if execution not in _EXEC_TYPES:
            raise TypeError(f"x is {str(execution)[:40]!r}")
        exec_type = _EXEC_TYPES[execution]
        reason = "" if exec_type == "accepted" else _reason(event, execution)
        if exec_type == "rejected" and "DUPLICATE" in reason.upper():
            exec_type = "unknown"  # what was refused is the copy: the order of this id exists
        return (
            ExecutionReport(client_order_id, symbol, exec_type, ts_event * _MS_NS, venue_order_id, reason=reason),
        )
    number = event["t"]
    quantity, price = parse_decimal(event["l"], "l"), parse_decimal(event["L"], "L")
    fee = parse_decimal(event["n"], "n") if event.get("n") is not None else ZERO
    if type(number) is not int or number < 0 or quantity <= ZERO or price <= ZERO:
        raise TypeError(f"fill t {str(number)[:40]!r} of {quantity} at {price}")
    return (
        ExecutionReport(
            client_order_id, symbol, "fill", ts_event * _MS_NS, venue_order_id, TradeId(str(number)),
            quantity, price, fee, str(event.get("N") or ""), event["m"] is True,
        ),
    )


def _client_id(event: dict[str, Any]) -> str:
    """A cancel has an id of its own in `c`; the order it ends is in `C`."""
    original = event.get("C")
    client_id = original if event["x"] == "CANCELED" and original not in ("", None, "null") else event["c"]
    if type(client_id) is not str:
        raise TypeError("c is not text")
    return client_id


def _reason(event: dict[str, Any], execution: str) -> str:
    said = event.get("r")
    return execution if said in (None, "NONE") else f"{execution}: {str(said)[:200]}"
