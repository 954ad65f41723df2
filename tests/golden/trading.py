"""One replay of the whole product, and what it ordered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from bus.messages.orders import OrderDenied, OrderFilled, OrderInitialized, OrderSubmitted, OrderTriggered
from tests.e2e.process import journal_of, tradingd

DAY_NS = 86_400_000_000_000
Row = tuple[object, ...]


@dataclass(frozen=True)
class Outcome:
    """`rows`: every order's birth, fire, sending and fill in order, with the time of day; and the whole journal."""

    rows: tuple[Row, ...]
    journal: tuple[Message, ...]

    def bodies(self, kind: type) -> list[Any]:
        return [message.body for message in self.journal if type(message.body) is kind]


def replayed(
    data_dir: Path, *recordings: Path, speed: float = 0, seconds: float, hash_seed: str = "0"
) -> Outcome:
    """Run it to its end."""
    files = [part for recording in recordings for part in ("--replay", str(recording))]
    ended = tradingd(
        "run", *files, "--speed", str(speed), "--for", str(seconds), "--port", "0", "--data-dir", str(data_dir),
        env={"PYTHONHASHSEED": hash_seed}, timeout=110,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    journal = tuple(journal_of(data_dir))
    return Outcome(tuple(row for message in journal for row in rows_of(message)), journal)


def rows_of(message: Message) -> list[Row]:
    """What a replay must repeat of one fact; the day is today's, the time of day the recording's."""
    body, at = message.body, message.header.ts % DAY_NS
    match body:
        case OrderInitialized(order):
            trail = order.trail.distance if order.trail is not None else None
            return [(at, "born", order.client_order_id, order.symbol, order.side, order.order_type, order.quantity,
                     order.price, order.stop_price, trail)]
        case OrderTriggered():
            return [(at, "fired", body.client_order_id, body.trigger, body.price)]
        case OrderSubmitted():
            return [(at, "sent", body.client_order_id, body.wire_type, body.quantity, body.price)]
        case OrderFilled():
            return [(at, "filled", body.client_order_id, body.side, body.quantity, body.price, body.fee)]
        case OrderDenied():
            return [(at, "denied", body.client_order_id, body.code)]
        case PositionClosed():
            return [(at, "closed", body.symbol, body.quantity, body.realized_pnl)]
    return []
