"""What a run of the council came to, as a fold over the runtime's facts: trades, decisions, executions, alphas."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bus.messages.council import AlphaSignal
from bus.messages.header import Message
from bus.messages.orders import OrderFilled, OrderInitialized, OrderRejected, OrderSubmitted
from market.money import ZERO
from research.backtest.alpha_figures import AlphaFigures
from research.backtest.bars import Bars
from research.backtest.council_log import CouncilLog
from research.backtest.council_story import CouncilRun, Section, tell
from research.backtest.trades import Trade, TradeFold
from tradingd.path_dependence import PathDependence
from tradingd.risk_settings import confidence_threshold
from tradingd.settings import Settings

Decision = tuple[int, str, str]


@dataclass(slots=True)
class CouncilResult:
    """What came of it; the same meanings as `research.backtest.runner.Result`."""

    trades: list[Trade]
    denials: dict[str, int]
    equity: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: list[Decision] = field(default_factory=list)
    """(when, side, type and quantity) of each order that came to life; when: the candle's index, or UTC ns."""
    decision_prices: list[tuple[str, float, float, float]] = field(default_factory=list)
    rejected: int = 0
    open_quantity: Decimal = ZERO
    cash: Decimal = ZERO
    fees: Decimal = ZERO
    alphas: dict[str, dict[str, Any]] = field(default_factory=dict)
    story: list[Section] = field(default_factory=list)
    """What each agent did and why, in words."""
    path_dependent: float | None = None
    """Share of round trips ended by an exit of the engine whose result rests on the path assumed inside a candle."""


class CouncilFold:
    """Give it to the runtime as a listener. `when` stamps decisions; `settings`: of the run."""

    def __init__(self, when: Callable[[], int], settings: Settings) -> None:
        self._when = when
        self._trades = TradeFold()
        self._path = PathDependence(settings.candles.decision)
        self._rule = settings.strategy.rule
        self.log = CouncilLog(confidence_threshold(settings), settings.council.quorum)
        self._decided: dict[str, float] = {}
        self.alphas = AlphaFigures()
        self.result = CouncilResult(self._trades.trades, self._trades.denials)

    def hear(self, message: Message) -> None:
        """One fact."""
        body, kind = message.body, type(message.body)
        result, closed = self.result, len(self._trades.trades)
        self._trades.apply(body, message.header.ts)
        self._path.apply(message)
        self.log.apply(message)
        if kind is AlphaSignal:
            self.alphas.on_signal(body)
        elif kind is OrderInitialized:
            order = body.order
            self.alphas.on_order(order)
            result.decisions.append((self._when(), order.side, f"{order.order_type} {order.quantity} {order.symbol}"))
        elif kind is OrderSubmitted:
            self._decided[body.client_order_id] = float(body.reference_price)
        elif kind is OrderFilled:
            self.alphas.on_fill(body)
            decided = self._decided.get(body.client_order_id, float(body.price))
            result.decision_prices.append((body.side, decided, decided, float(body.price)))
        elif kind is OrderRejected:
            result.rejected += 1
        if len(self._trades.trades) > closed:
            self.alphas.on_trade(self._trades.trades[-1])

    def on_close(self, symbol: str, close: float, equity: float, held: float) -> None:
        """A candle of the symbol that is shown has closed; `held`: the worth of all that is held, in quote."""
        self.result.equity.append(equity)
        self.alphas.on_close(symbol, close)
        self.log.on_close(held / equity if equity > 0.0 else 0.0)

    def finish(self, bars: Bars, cash: float) -> CouncilResult:
        """After the last fact, for the candles that are shown."""
        self.result.alphas = self.alphas.figures()
        self.result.path_dependent = self._path.report().share
        result = self.result
        result.story = tell(CouncilRun(
            bars, result.equity, cash, result.trades, result.alphas, self.log, self._rule,
        ))
        return result
