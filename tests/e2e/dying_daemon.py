"""The real daemon, made to die by SIGKILL at a chosen point: `python -m tests.e2e.dying_daemon run ...`.

Nothing of this is in the product: before `tradingd` begins, the functions that an order passes on its way are wrapped
here. Each wrapper looks whether the file that the environment names in KILL_PLAN holds the name of its point; if so
the file is removed, so that the next start lives, and the process is gone without another instruction.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bus.codec import decode
from bus.messages.header import Message
from bus.messages.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderPendingCancel,
    OrderSubmitted,
)
from bus.messages.system import KillSwitchEngaged
from exchanges.binance.orders import BinanceVenue
from exchanges.binance.rest import RestClient
from exchanges.binance.signing import PreparedPost
from exchanges.http_line import _Line
from orders.effects import Effect
from orders.engine import Engine
from risk.approved import Approved, OrderRequest
from store.journal_format import Record
from tradingd.cli import main
from tradingd.message_journal import MessageJournal

PLAN: Final = Path(os.environ["KILL_PLAN"])
_POST_ORDER: Final = b"POST /api/v3/order"


def die_at(point: str) -> None:
    """End here, if this is the point."""
    try:
        planned = PLAN.read_text()
    except FileNotFoundError:
        return
    if planned == point:
        PLAN.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


# ---- the journal -----------------------------------------------------------------------------------------


def _is_answer(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderAccepted | OrderFilled) for body in bodies)


def _is_part(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderFilled) and not body.is_complete for body in bodies)


def _is_replacement_asked(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderPendingCancel) and body.reason.startswith("replaced by") for body in bodies)


def _is_replacement(bodies: list[Any]) -> bool:
    """The old order's end and the new one's sending are facts of one step."""
    return any(isinstance(body, OrderCancelled) and body.reason.startswith("replaced by") for body in bodies)


def _is_stop(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderSubmitted) and body.wire_type == "stop_limit" for body in bodies)


def _is_stop_taken_back(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderCancelled) and body.reason == "more is held" for body in bodies)


def _is_sent(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderSubmitted) for body in bodies)


def _is_latch(bodies: list[Any]) -> bool:
    return any(isinstance(body, KillSwitchEngaged) for body in bodies)


def _is_sale(bodies: list[Any]) -> bool:
    return any(isinstance(body, OrderFilled) and body.side == "sell" for body in bodies)


BEFORE_APPEND: Final[dict[str, Callable[[list[Any]], bool]]] = {
    "before the journal": _is_sent,
    "answered, not journalled": _is_answer,
    "a part executed, not journalled": _is_part,
    "the replacement is due, not journalled": _is_replacement,
    "before the new stop is journalled": _is_stop,
    "a sale of the kill switch executed, not journalled": _is_sale,
    "the first word in a reconciliation, not journalled": _is_answer,
}
AFTER_APPEND: Final[dict[str, Callable[[list[Any]], bool]]] = {
    "after the journal": _is_sent,
    "answered and journalled": _is_answer,
    "a part executed and journalled": _is_part,
    "the replacement is journalled, its cancel not sent": _is_replacement_asked,
    "the replacement is due and journalled, not sent": _is_replacement,
    "the old stop is taken back": _is_stop_taken_back,
    "the new stop is journalled, not sent": _is_stop,
    "the latch is journalled": _is_latch,
}


def wrap_journal() -> None:
    real, real_encoded = MessageJournal.append, MessageJournal.append_encoded

    def append(self: MessageJournal, messages: Iterable[Message], *, sync: bool) -> None:
        listed = list(messages)
        bodies = [message.body for message in listed]
        for point, is_it in BEFORE_APPEND.items():
            if is_it(bodies):
                die_at(point)
        real(self, listed, sync=sync)
        for point, is_it in AFTER_APPEND.items():
            if is_it(bodies):
                die_at(point)

    def append_encoded(self: MessageJournal, records: Sequence[Record], *, sync: bool) -> None:
        bodies = [decode(record.data).body for record in records]
        for point, is_it in BEFORE_APPEND.items():
            if is_it(bodies):
                die_at(point)
        real_encoded(self, records, sync=sync)
        for point, is_it in AFTER_APPEND.items():
            if is_it(bodies):
                die_at(point)

    MessageJournal.append = append  # type: ignore[method-assign]
    MessageJournal.append_encoded = append_encoded  # type: ignore[method-assign]


# ---- the venue -------------------------------------------------------------------------------------------


def wrap_venue() -> None:
    submit, balances = BinanceVenue.submit, BinanceVenue.balances
    seen = [0]

    def dying_submit(self: BinanceVenue, approved: Approved) -> None:
        die_at("before the send")
        submit(self, approved)
        die_at("after the send")
        if approved.order.wire_type == "stop_limit":
            die_at("the new stop is sent")
        if approved.order.origin == "kill":
            die_at("a sale of the kill switch is sent")

    async def dying_balances(self: BinanceVenue) -> Any:
        found = await balances(self)
        seen[0] += 1
        if seen[0] == 2:  # the first proves the keys, the second is compared with the books
            die_at("the balances are known in a reconciliation")
        return found

    prepared = BinanceVenue._submit_prepared

    def dying_prepared(self: BinanceVenue, order: OrderRequest, post: PreparedPost) -> None:
        die_at("before the send")
        prepared(self, order, post)
        die_at("after the send")

    BinanceVenue.submit = dying_submit  # type: ignore[method-assign]
    BinanceVenue._submit_prepared = dying_prepared  # type: ignore[method-assign]
    BinanceVenue.balances = dying_balances  # type: ignore[method-assign]


def wrap_wire() -> None:
    send, answer_to, once, read = _Line.send, RestClient.answer_to, RestClient.once, RestClient.read

    def dying_send(self: _Line, request: bytes) -> Any:
        if request.startswith(_POST_ORDER) and PLAN.exists() and PLAN.read_text() == "half of it is sent":
            self._transport.write(request[: len(request) // 2])  # type: ignore[union-attr]
            die_at("half of it is sent")
        return send(self, request)

    async def dying_answer_to(self: RestClient, *arguments: Any) -> Any:
        answer = await answer_to(self, *arguments)
        die_at("answered, not read")
        return answer

    async def dying_once(self: RestClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        answer = await once(self, method, path, *arguments, **more)
        if method == "POST":
            die_at("answered, not read")
        return answer

    async def dying_read(self: RestClient, path: str, *arguments: Any, **more: Any) -> Any:
        answer = await read(self, path, *arguments, **more)
        if more.get("method") == "DELETE":
            die_at("the venue has ended the old order")
            die_at("the venue has ended an order for the kill switch")
        return answer

    _Line.send = dying_send  # type: ignore[method-assign]
    RestClient.answer_to = dying_answer_to  # type: ignore[method-assign,assignment]
    RestClient.once = dying_once  # type: ignore[method-assign]
    RestClient.read = dying_read  # type: ignore[method-assign]


def wrap_engine() -> None:
    real = Engine.finish_restore

    def finish_restore(self: Engine, now: int) -> Iterable[Effect]:
        effects = real(self, now)
        die_at("restored, nothing asked yet")
        return effects

    Engine.finish_restore = finish_restore  # type: ignore[method-assign,assignment]


def wrap_all() -> None:
    """Every point."""
    wrap_journal()
    wrap_venue()
    wrap_wire()
    wrap_engine()


if __name__ == "__main__":
    wrap_all()
    main()
    sys.exit(0)
