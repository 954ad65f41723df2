"""P2: trade ticks per second through the whole `Engine.process`, with three armed trails.

The ticks are prebuilt, a quarter of a millisecond apart, a random walk in cents: candles close and new lows
happen as live. Beside it the same prices through bare `Trails`, to see what the rest of the engine costs.
"""

from collections.abc import Callable
from decimal import Decimal

from benchmarks.result import Result, median_rate
from benchmarks.trailing_ticks import START, random_walk
from bus.ids import ClientOrderId, SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import SubmitOrder, TrailingArmed, TrailSpec
from market.instrument import Instrument
from market.ticks import QuoteTick, TradeTick
from orders.engine import Engine, EngineConfig
from orders.trailing import Trails
from risk.limits import RiskLimits

SYMBOL = "BTC/USDT"
BEGIN_NS = 1_700_000_000_000_000_000
STEP_NS = 250_000
TICKS = 200_000
TRAILS = 3
ONE = Decimal(1)
CENT = Decimal("0.01")
WIDE = RiskLimits(
    exposure_per_asset=ONE, exposure_total=ONE, max_positions=10, collar=ONE, max_order_notional=ONE,
    duplicate_window_ns=0,
)


def run() -> list[Result]:
    ticks = [
        TradeTick(SYMBOL, price, Decimal("0.01"), "buy", str(number), _at(number), _at(number))
        for number, price in enumerate(random_walk(TICKS), start=1)
    ]
    whole = median_rate(lambda: _feeding(ticks), TICKS)
    trails = median_rate(lambda: _trails_only(ticks), TICKS)
    return [
        Result("engine_ticks", whole, "ticks/s", {"trails": TRAILS}),
        Result("engine_ticks", trails, "ticks/s", {"trails": TRAILS, "peer": "Trails alone"}),
    ]


def engine_with_trails() -> Engine:
    """Three buy trails armed 20 % away: they follow, and do not fire on this walk."""
    instrument = Instrument(
        SYMBOL, "BTCUSDT", "BTC", "USDT", CENT, Decimal("0.00001"), Decimal("0.00001"), Decimal(1_000), Decimal(5),
    )
    engine = Engine(EngineConfig("USDT", WIDE), [instrument], MessageMaker("engine", SessionId("bench")))
    commands = MessageMaker("bench", SessionId("bench"))
    capital = Decimal(1_000_000)
    engine.process(commands.make(FundsChanged("USDT", capital, capital, "initial capital"), BEGIN_NS))
    engine.process(QuoteTick(SYMBOL, START - CENT, ONE, START, ONE, BEGIN_NS, BEGIN_NS))
    engine.process(TradeTick(SYMBOL, START, ONE, "buy", "0", BEGIN_NS, BEGIN_NS))
    armed = 0
    for number in range(TRAILS):
        trail = TrailSpec("percent", Decimal("0.2") + number * CENT)
        order = SubmitOrder(
            ClientOrderId(f"td-bench-{number}"), SYMBOL, "buy", "trailing", Decimal("0.01"), "manual", trail=trail
        )
        effects = engine.process(commands.make(order, BEGIN_NS))
        armed += sum(isinstance(effect, Message) and isinstance(effect.body, TrailingArmed) for effect in effects)
    if armed != TRAILS:
        raise RuntimeError(f"only {armed} of {TRAILS} trails were armed: the engine denied the others")
    return engine


def _at(number: int) -> int:
    return BEGIN_NS + number * STEP_NS


def _feeding(ticks: list[TradeTick]) -> Callable[[], object]:
    engine = engine_with_trails()

    def work() -> None:
        process = engine.process
        for tick in ticks:
            process(tick)

    return work


def _trails_only(ticks: list[TradeTick]) -> Callable[[], object]:
    trails = Trails()
    for number in range(TRAILS):
        trails.arm_trail(ClientOrderId(f"td-{number}"), "buy", START, Decimal("0.2") + number * CENT, True)

    def work() -> None:
        on_price = trails.on_price
        for tick in ticks:
            on_price(tick.price)

    return work
