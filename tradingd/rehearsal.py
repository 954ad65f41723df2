"""The way from a trigger to an order, gone a few times before it counts.

Python makes a function quick only after some runs, and many parts are made when they are first used: the first stops
that fire take up to twice as long as later ones. An engine of its own trades an invented pair; nothing leaves this
module, and nothing of it is kept.
"""

from decimal import Decimal
from typing import Final

from bus.codec import encode
from bus.ids import ClientOrderId, SessionId, TradeId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ExecutionReport, SubmitOrder
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ONE
from market.ticks import QuoteTick, TradeTick
from orders.effects import SubmitToVenue
from orders.engine import Engine, EngineConfig
from risk.limits import RiskLimits

TIMES: Final = 20
_SYMBOL: Final = "REHEARSAL/MONEY"
_TICK: Final = Decimal("0.01")
_PAIR: Final = Instrument(
    _SYMBOL, "REHEARSALMONEY", "REHEARSAL", "MONEY", _TICK, _TICK, _TICK, Decimal(10**9), ONE, _TICK, _TICK,
)
_CAPITAL: Final = Decimal(10**6)
_BEGIN_NS: Final = 1_700_000_000 * SECOND_NS


def rehearse(times: int = TIMES) -> int:
    """Arm a stop, let it fire, let it be filled, and so on, buying and selling; returns how many orders left."""
    limits = RiskLimits(orders_per_second=10**6, orders_per_minute=10**6, duplicate_window_ns=0)
    engine = Engine(EngineConfig("MONEY", limits), [_PAIR], MessageMaker("rehearsal", SessionId("rehearsal")))
    wishes = MessageMaker("person", SessionId("rehearsal"))
    now, sent = _BEGIN_NS, 0
    engine.process(wishes.make(FundsChanged("MONEY", _CAPITAL, _CAPITAL, "for the rehearsal"), now))
    for number in range(times):
        is_buy = number % 2 == 0
        price = Decimal(100) + _TICK if is_buy else Decimal(100) - _TICK
        client_order_id = ClientOrderId(f"td-rehearsal-{number}")
        now += SECOND_NS
        engine.process(QuoteTick(_SYMBOL, Decimal(100) - _TICK, ONE, Decimal(100), ONE, now, now))
        engine.process(TradeTick(_SYMBOL, Decimal(100), ONE, "buy", f"{number}-before", now, now))
        engine.process(wishes.make(SubmitOrder(
            client_order_id, _SYMBOL, "buy" if is_buy else "sell", "stop", ONE, "manual", stop_price=price,
            reduce_only=not is_buy,
        ), now))
        now += SECOND_NS
        effects = engine.process(TradeTick(_SYMBOL, price, ONE, "buy", str(number), now, now))
        for effect in effects:
            if isinstance(effect, Message):
                encode(effect)
        sent += sum(isinstance(effect, SubmitToVenue) for effect in effects)
        engine.process(wishes.make(ExecutionReport(
            client_order_id, _SYMBOL, "fill", now, trade_id=TradeId(str(number)), quantity=ONE, price=price,
        ), now))
    return sent
