"""The desk every decision is made at: the state, the markets, the gate, and the effects of the input at hand.

`emit` is the only way by which anything changes: it makes a fact, folds it and lists it for the runtime.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, ProposalId, VenueOrderId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.orders import OrderDenied, OrderSubmitted, PriceSource, Side, SubmitOrder
from bus.messages.system import AlertRaised, LimitBreached, SymbolReleased
from market.instrument import Instrument
from market.interval import SECOND_NS, interval_ns
from market.money import ZERO
from market.ticks import Candle
from orders import account
from orders.admission import Refusal
from orders.denied_attempts import PACE_OF_MONEY, DeniedAttempts
from orders.effects import Answer, CancelAtVenue, Effect, QueryVenue, SubmitToVenue
from orders.entry_price import EntryRule
from orders.market_state import MarketState
from orders.order_table import Order
from orders.sane_numbers import without_absurd_numbers
from orders.state import SYMBOL_HALT, Content, EngineState
from orders.time_rules import TimeRules
from orders.unlisted import Unlisted
from risk.approved import Approved, Denied, OrderRequest
from risk.codes import DENIAL_CODES
from risk.drawdown import EquityTracker
from risk.exposure_steps import ExposureCuts
from risk.gate import GateView, RiskGate
from risk.limits import RiskLimits
from risk.locks import ALL_SYMBOLS, Protections

_BY_VOTE: Final = frozenset({"TRADING_REDUCING", "TRADING_HALTED"})
_DUST_STEP: Final = Decimal("1e-8")
_SESSION_LETTERS: Final = 16
LONG_SILENCE_NS: Final = 60 * SECOND_NS
"""After market data was away for so long a new price says what has changed since, not what changes now."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine is told once. Windows in ns, ratios 0-1."""

    quote: str
    limits: RiskLimits = field(default_factory=RiskLimits)
    intervals: tuple[str, ...] = ("1s", "5s", "1m")
    decision_interval: str = "1s"
    snapshot_ns: int = 60 * SECOND_NS
    candle_grace_ns: int = SECOND_NS // 2
    disaster_stop: bool = False
    """Keep a stop resting at the venue for each position (`orders.disaster_stop`)."""
    protections: Protections = field(default_factory=Protections)
    cuts: ExposureCuts | None = None
    """None: at a drawdown limit new risk is refused, and what is held stays."""
    time_rules: TimeRules = field(default_factory=TimeRules)
    slippage_ratio: Decimal = Decimal("0.001")
    """Expected cost of a market order beyond the quote, held ready beside the fee when funds are checked."""
    entries: EntryRule | None = None
    """What entries of the council may pay; None = they leave at market."""
    tells_portfolio: bool = True
    """Write the portfolio down after each fill. A backtest of a bare rule has no journal and no screen for it."""

    def __post_init__(self) -> None:
        for interval in (*self.intervals, self.decision_interval):
            interval_ns(interval)
        if self.decision_interval not in self.intervals:
            raise ValueError(f"decision interval {self.decision_interval!r} is not among {list(self.intervals)}")


class Desk:
    """State, markets and gate, plus `now` (UTC ns) and `cause` (message id) of the input being processed."""

    def __init__(self, config: EngineConfig, instruments: Sequence[Instrument], maker: MessageMaker) -> None:
        self.config = config
        self.maker = maker
        self._instruments = {each.symbol: each for each in instruments}
        self.state = EngineState(config.quote, self._instruments)
        self.markets = {
            each.symbol: MarketState(each, config.intervals, self.state.watch, config.limits.collar)
            for each in instruments
        }
        self.gate = RiskGate(config.limits)
        self.tracker = EquityTracker()
        self.now = 0
        self.cause = ""
        self.heard_ns: int | None = None
        self.silent_ns = 0
        """When market data was last found to be silent (UTC ns): older prices fire nothing by themselves."""
        self.left_ns = 0
        """Until when the journal tells of the time before this start (UTC ns); 0 without one."""
        self.away_ns = 0
        """When it was last found to have been silent for `LONG_SILENCE_NS`, or was not heard yet (UTC ns)."""
        self.attempts: dict[ClientOrderId, int] = {}
        """Denials in a row per exit that is ready to leave."""
        self.not_before: dict[ClientOrderId, int] = {}
        """When an exit that the venue keeps refusing may be tried again (UTC ns)."""
        self.freed_ns = 0
        """When something that may have been in the way of exits was said to be over (UTC ns)."""
        self.blocked: dict[ClientOrderId, int] = {}
        """Tries in vain per exit that waits for another one to end at the venue."""
        self.asked: dict[ClientOrderId, None] = {}
        """Orders the venue was asked about and has not answered for yet."""
        self.missed: dict[ClientOrderId, int] = {}
        """Orders the venue did not know so soon after they were sent, and when it is asked again (UTC ns)."""
        self.given_up: dict[ClientOrderId, int] = {}
        """Orders the venue did not know, and since when (UTC ns): `orders.late_arrivals` asks about them some more."""
        self.strangers: dict[ClientOrderId, None] = {}
        """Orders with our mark that the journal does not hold, and that a person was told of."""
        self.attempts_denied = DeniedAttempts(config.limits.orders_per_minute)
        self.unlisted = Unlisted()
        self.steps = 0
        """Inputs that may have changed anything but prices: what was worked out ahead holds while this stands still."""
        self.wants_snapshot = False
        self.held_candles: deque[Candle] | None = None
        """Candles that closed before the history was there, in order; None once it is, or when nobody waits for it."""
        self.out: list[Effect] = []

    @property
    def is_price_fresh(self) -> bool:
        """Was market data heard within `limits.stale_after_s`? The last price before a silence fires nothing."""
        return self.heard_ns is not None and self.now - self.heard_ns < self.config.limits.stale_after_ns

    def note_silence(self) -> None:
        """What every market knows now is from before a silence, until a price is heard."""
        self.silent_ns = self.now
        is_long = self.heard_ns is None or self.now - self.heard_ns >= LONG_SILENCE_NS
        if is_long:
            self.away_ns = self.now
        for market in self.markets.values():
            market.old_last = market.last
            if is_long and market.mark is not None:
                market.old_mark = market.mark

    def fresh_last(self, market: MarketState) -> Decimal | None:
        """The last price. One from before a silence stands as far as the quotes heard since let it (they are asked for
        over REST while a stream is away); None without any."""
        last, bid, ask = market.last, market.bid, market.ask
        if last is None or not self.is_price_fresh or last is not market.old_last:
            return last if self.is_price_fresh else None
        if bid is None or ask is None or not self.has_fresh_quote(market):
            return None
        return min(max(last, bid), ask)

    def fresh_price(self, market: MarketState, source: PriceSource, side: Side) -> Decimal | None:
        """As `MarketState.watched_price`, None where it is from before a silence."""
        has_quote = self.has_fresh_quote(market)
        if (source == "last" or not has_quote) and market.last is not None:
            return self.fresh_last(market)
        return market.watched_price(source, side) if has_quote else None

    def has_fresh_quote(self, market: MarketState) -> bool:
        """Was the quote heard after the last silence?"""
        return self.is_price_fresh and market.quote_ts > self.silent_ns

    # ---- saying and doing --------------------------------------------------------------------------

    def emit(self, body: Any) -> Message:
        """Make a fact of it: folded at once, listed for the journal."""
        message = self.maker.make(body, self.now, cause=self.cause)
        self.state.apply(message)
        self.out.append(message)
        return message

    def alert(self, level: str, title: str, message: str) -> None:
        self.emit(AlertRaised(level, title, message))  # type: ignore[arg-type]

    def halt_symbol(self, symbol: str, message: str) -> None:
        """No entries on the symbol until it is flat, an exit of it is executed after all, or a person says so."""
        if symbol not in self.state.halted_symbols:
            self.emit(LimitBreached(SYMBOL_HALT, symbol, "3", message))

    def release_symbol(self, symbol: str, by: str, reason: str) -> None:
        """The halt is over, if there is one."""
        if symbol in self.state.halted_symbols:
            self.emit(SymbolReleased(symbol, by, reason))

    def try_exits_at_once(self) -> None:
        """What stood in their way is over: none waits out the pause that it had earned."""
        self.freed_ns = self.now
        self.not_before.clear()

    def deny(self, order: SubmitOrder, why: Refusal | Denied) -> None:
        """The order is refused and ends, REJECTED by us. One of very many gets its answer, but is only counted."""
        denial = _denial(order.client_order_id, order.symbol, self._with_votes(why), without_absurd_numbers(order))
        if order.client_order_id in self.state.orders:
            self.emit(denial)
            return
        self.attempts_denied.note(why.code, self.now, self._worth(order) if why.code == PACE_OF_MONEY else ZERO)
        if self.unlisted.lists(why.code, order.origin, self.now):
            self.emit(denial)
        else:
            self.out.append(Answer(self.maker.make(denial, self.now, cause=self.cause)))

    def _with_votes(self, why: Refusal | Denied) -> Refusal | Denied:
        """A refusal by the trading state says who votes for that state, and why."""
        if why.code not in _BY_VOTE:
            return why
        return replace(why, message=f"{why.message} The reason: {self.state.votes.reason}.")

    def _worth(self, order: SubmitOrder) -> Decimal:
        """Quote value of an order that was asked for, at its own price or the market's."""
        price = order.price or order.stop_price or self.markets[order.symbol].touch(order.side) or ZERO
        return order.quantity * price

    def deny_command(self, client_order_id: ClientOrderId, symbol: str, why: Refusal | Denied) -> None:
        """Only the command is refused; the order it names, if any, goes on."""
        self.emit(_denial(client_order_id, symbol, self._with_votes(why), None))

    def answer_denied(self, client_order_id: ClientOrderId, symbol: str, why: Refusal | Denied) -> None:
        """The same for a command that changes nothing: told to the one who asked, not journalled."""
        denial = _denial(client_order_id, symbol, self._with_votes(why), None)
        self.out.append(Answer(self.maker.make(denial, self.now, cause=self.cause)))

    def send(self, order: Order, approved: Approved) -> None:
        """On disk first, then to the venue: the fact stands before the call."""
        request = approved.order
        self.emit(OrderSubmitted(
            request.client_order_id, request.symbol, request.wire_type, request.quantity, request.price,
            request.reference_price,
        ))
        self.out.append(SubmitToVenue(approved))

    def snapshot(self) -> PortfolioSnapshot:
        """The account as it stands now; while a held symbol has no price its equity is the one known last."""
        told = account.snapshot(self.state, self.markets, self.tracker)
        if self._is_priced or self.tracker.equity <= ZERO:
            return told
        return replace(told, equity=self.tracker.equity)

    @property
    def _is_priced(self) -> bool:
        """Is there a price for everything that is held? What is watched no longer is worth what it was: none will come.

        So is what is silent while others are not, when a minute of market data has passed: it hides no loss of theirs.
        """
        if self._is_heard_for_long:
            return True
        markets = (self.markets[symbol] for symbol in self.state.ledger.positions)
        return all(market.mark is not None or not market.is_watched for market in markets)

    @property
    def _is_heard_for_long(self) -> bool:
        """Do prices come, and has market data for as long as a silence is that counts?"""
        if not self.is_price_fresh or self.now - self.away_ns < LONG_SILENCE_NS:
            return False
        return any(market.mark is not None and market.mark is not market.old_mark for market in self.markets.values())

    @property
    def _is_marked_now(self) -> bool:
        """Is nothing that is held marked by a price from before a long silence?

        A minute after its end it is not: who has said nothing new by then beside others who did is quiet.
        """
        if self._is_heard_for_long:
            return True
        markets = (self.markets[symbol] for symbol in self.state.ledger.positions)
        return all(market.mark is None or market.mark is not market.old_mark for market in markets)

    def mark_equity(self, net_flow: Decimal = ZERO) -> None:
        """Bring peaks, drawdowns and losses up to date; not while a held symbol has no price (no false losses).

        Meanwhile what was known last is what the account is worth: a day or a week may begin with it, and money that
        comes or goes (a restart finds a deposit before it hears prices) moves it. A position at its cost is a peak that
        never was, or a loss.
        """
        worth = account.equity(self.state, self.markets)
        is_priced = self._is_priced
        if not is_priced:
            if self.tracker.equity > ZERO:
                worth = self.tracker.equity + net_flow
            elif not net_flow:
                return
        self.tracker.update(self.now, worth, net_flow, is_of_now=is_priced and self._is_marked_now)

    def ask_cancel(self, order: Order) -> None:
        self.out.append(CancelAtVenue(order.client_order_id, VenueOrderId(order.venue_order_id), order.spec.symbol))

    def ask_venue(self, order: Order) -> None:
        self.asked[order.client_order_id] = None
        self.out.append(QueryVenue(order.client_order_id, order.spec.symbol))

    def next_id(self) -> ClientOrderId:
        """An id for an order the engine gives by itself: session and a number that is folded from the journal."""
        number = self.state.born + 1
        while True:
            made = ClientOrderId(f"{CLIENT_ID_PREFIX}{self.maker.session[-_SESSION_LETTERS:]}-e{number}")
            if made not in self.state.orders:
                return made
            number += 1

    def know(self, symbol: str) -> None:
        """A journalled symbol that is no longer configured stays in the books, closed for trading."""
        if symbol in self.markets:
            return
        base, _, quote = symbol.partition("/")
        instrument = Instrument(
            symbol, base + quote, base, quote, _DUST_STEP, _DUST_STEP, _DUST_STEP, Decimal(10**12), ZERO,
            is_trading=False,
        )
        self._instruments[symbol] = instrument
        self.state.know(instrument)
        self.markets[symbol] = MarketState(instrument, self.config.intervals, self.state.watch)
        self.markets[symbol].is_watched = False

    def adopt(self, instrument: Instrument) -> None:
        """New rules of a known symbol."""
        self._instruments[instrument.symbol] = instrument
        self.markets[instrument.symbol].instrument = instrument

    # ---- the gate ----------------------------------------------------------------------------------

    def review(
        self, request: OrderRequest, *, content: Content | None = None, sellable: Decimal | None = None,
    ) -> Approved | Denied:
        """The gate's word on an order, now.

        `content`: of an order just asked for, to be looked up among the recent ones. `sellable` overrides
        what other sells at the venue leave over.
        """
        return self.gate.review(request, self.view(request, content, sellable))

    def view(
        self, request: OrderRequest, content: Content | None = None, sellable: Decimal | None = None,
    ) -> GateView:
        """The world as the gate is told of it; for the arguments see `review`."""
        state, now, symbol, own_id = self.state, self.now, request.symbol, request.client_order_id
        market, instrument, ledger = self.markets[symbol], self.markets[symbol].instrument, state.ledger
        stake = account.exposure(state, self.markets, symbol, own_id)
        position = ledger.positions.get(symbol)
        held = ZERO if position is None or position.quantity < ZERO else position.quantity
        if sellable is None:
            own = state.orders.get(own_id)
            others = state.orders.selling(symbol) - (ZERO if own is None else own.reserved)
            if request.is_arming:
                others -= account.yielding_quantity(state, symbol)
            sellable = max(held - others, ZERO)
        losses, locks, is_killed = self.tracker.losses, state.locks, state.kill is not None
        within_second, within_minute, minutes_money = state.sent_lately(now)
        # By place, in the order of its fields: with thirty names the call would take longer than most of the checks.
        return GateView(
            now, state.votes.state, is_killed,
            instrument, market.bid, market.ask, market.last,
            None if self.heard_ns is None else max(now - self.heard_ns, 0),
            stake.equity, ledger.cash - stake.held_by_entries, held, sellable,
            stake.open_positions, stake.asset, stake.total,
            losses.daily_drawdown, losses.weekly_drawdown, losses.max_drawdown, losses.daily_loss, losses.runaway_loss,
            within_second, within_minute, minutes_money, is_killed and state.is_latched_by_rule_alone,
            "" if content is None else self._duplicate_of(content), state.orders.has_unknown(symbol, own_id, now),
            symbol in state.halted_symbols,
            state.approved_quantity(ProposalId(request.proposal_id), symbol, request.side)
            if request.proposal_id else None,
            instrument.taker_fee + self.config.slippage_ratio,
            locks.holding(symbol, now, is_council=request.origin == "council") if locks.by_place else None,
            locks.holding(ALL_SYMBOLS, now) if locks.by_place else None, losses.capital_loss,
        )

    def _duplicate_of(self, content: Content) -> str:
        """The id of an order with this content, born within the window."""
        for ts, seen, known_id in reversed(self.state.recent):
            if self.now - ts >= self.config.limits.duplicate_window_ns:
                break
            if seen == content:
                return known_id
        return ""


def _denial(
    client_order_id: ClientOrderId, symbol: str, why: Refusal | Denied, order: SubmitOrder | None,
) -> OrderDenied:
    family = why.family if isinstance(why, Denied) else DENIAL_CODES[why.code].family
    return OrderDenied(
        client_order_id, symbol, why.code, family, why.rule, why.value, why.limit, why.message, order,
    )

