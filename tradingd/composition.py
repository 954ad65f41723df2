"""Which parts this product is made of: settings in, wired parts out. No part knows another but through here."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Final

from agents.agent import Agent
from agents.alphas.panel import AlphaPanel
from agents.alphas.registry import UnknownAlphaError, make_alphas
from agents.analyst import Analyst, AnalystConfig
from agents.ceo import Ceo, CeoConfig
from agents.parameters import Parameters
from agents.risk_officer import RiskOfficer
from agents.scanner import Scanner, ScannerConfig
from agents.strategies.entry_size import SizeRule
from agents.strategies.rule import DecisionRule
from agents.strategies.rule_book import RuleBook, RuleChoice
from agents.strategies.trail_distance import EXIT_REACH, PRACTICE_ENTRY_SCALE, PRACTICE_EXIT_SCALE, DistanceRule
from agents.strategies.trailing_consensus import TrailingConsensus, TrailingConsensusConfig
from agents.strategies.wished_trade import WishedTrade
from agents.strategy import CouncilConfig, Strategy
from agents.trader import Trader
from bus.ids import SessionId
from bus.messages.council import ParametersChanged
from bus.messages.header import MessageMaker
from exchanges.simulated import PaperConfig
from market.instrument import Instrument
from market.interval import SECOND_NS, interval_ns
from market.money import ZERO
from orders.engine import Engine, EngineConfig
from orders.entry_price import EntryRule
from orders.time_rules import TimeRules, parse_blackout, parse_day_end
from risk.limits import RiskLimits, resolve_limits
from tradingd.parameters import base_trail, held_parameters, with_parameters
from tradingd.profile import AlphaWatch
from tradingd.risk_settings import (
    confidence_threshold,
    longer_of,
    make_cuts,
    make_protections,
    make_sizing,
    written_limits,
)
from tradingd.settings import Settings
from tradingd.settings_errors import ConfigError
from tradingd.strategy_choice import CONSENSUS, chosen_strategies

PATIENCE_BEYOND_NS: Final = 5 * SECOND_NS
"""So long beyond its own limit the analyst waits for a foreign alpha: its panel says itself when that limit is over."""


def seconds_to_ns(seconds: float) -> int:
    """Configured seconds as ns."""
    return int(seconds * SECOND_NS)


def make_limits(settings: Settings) -> RiskLimits:
    """[risk] over risk_tolerance and preset."""
    return resolve_limits(settings.account.risk_tolerance, settings.risk.preset, written_limits(settings))


def choose_instruments(
    settings: Settings, offered: Sequence[Instrument], *, take_all: bool, held: Collection[str] = (),
    left_out: list[str] | None = None,
) -> list[Instrument]:
    """The configured symbols, as the venue knows them; raises `ConfigError` naming what it lacks.

    `take_all` (a replay without --symbols): everything the recording holds. One that is `held` and listed no more is
    left out: the books know it, and the daemon must start to look after the others. With a list for the names that are
    `left_out` (something is at stake) so is every other one, as long as any remains.
    """
    by_name: dict[str, Instrument] = {}
    for instrument in offered:
        by_name[instrument.symbol] = instrument
        by_name.setdefault(instrument.venue_symbol, instrument)
        by_name.setdefault(f"{instrument.base}-{instrument.quote}", instrument)
    if take_all:
        return _with_account_quote(settings, sorted(offered, key=lambda instrument: instrument.symbol))
    chosen: list[Instrument] = []
    lacking: list[str] = []
    for name in settings.symbols:
        found = by_name.get(name.strip().upper())
        if found is None and name.strip().upper() not in held:
            lacking.append(name)
        elif found is not None and found not in chosen:
            chosen.append(found)
    if not chosen or (lacking and left_out is None):
        name = (*lacking, *settings.symbols)[0]
        raise ConfigError(
            f"{settings.where('symbols')}: {settings.venue} does not trade {name!r}. {_examples(settings, offered)}"
        )
    if left_out is not None:
        left_out += lacking
    return _with_account_quote(settings, chosen)


def choose_watched(
    settings: Settings, offered: Sequence[Instrument], held: Mapping[str, tuple[Decimal, Decimal]],
    left_out: list[str] | None = None,
) -> list[Instrument]:
    """The configured symbols, all of what is `held` among them (see `require_watched`); raises `ConfigError`."""
    chosen = choose_instruments(settings, offered, take_all=False, held=held.keys(), left_out=left_out)
    require_watched(settings, offered, chosen, held)
    return chosen


def require_watched(
    settings: Settings, offered: Sequence[Instrument], chosen: Sequence[Instrument],
    held: Mapping[str, tuple[Decimal, Decimal]],
) -> None:
    """What is held (by symbol: quantity, average price) and can be sold must be watched; raises `ConfigError`.

    A symbol that the venue does not list any more, or of which less is left than may be sold, is no reason.
    """
    watched = {instrument.symbol for instrument in chosen}
    bare = []
    for each in offered:
        quantity, price = held.get(each.symbol, (ZERO, ZERO))
        can_be_sold = quantity >= max(each.min_quantity, each.quantity_step) and quantity * price >= each.min_notional
        if can_be_sold and each.symbol not in watched:
            bare.append(each.symbol)
    if bare:
        raise ConfigError(
            f"{settings.where('symbols')}: {', '.join(sorted(bare))} {'is' if len(bare) == 1 else 'are'} held, and "
            "nobody would watch the stop of what is not named. Name it again, close the position (tradingd close "
            f"{min(bare)}), then leave it out."
        )


def _with_account_quote(settings: Settings, instruments: list[Instrument]) -> list[Instrument]:
    """The same, if at least one can be traded with the account's money."""
    if any(instrument.quote == settings.account.quote for instrument in instruments):
        return instruments
    quotes = ", ".join(sorted({instrument.quote for instrument in instruments}))
    raise ConfigError(
        f"{settings.where('account', 'quote')}: "
        f"it is {settings.account.quote}, but the symbols are quoted in {quotes}: "
        "nothing could be traded. Set account.quote (TRADINGD__ACCOUNT__QUOTE) to one of these."
    )


def _examples(settings: Settings, offered: Sequence[Instrument]) -> str:
    quote = settings.account.quote
    some = ", ".join(sorted(i.symbol for i in offered if i.quote == quote)[:8])
    if some:
        return f"It trades, for example: {some}."
    quotes = ", ".join(sorted({i.quote for i in offered})[:8])
    return f"It trades nothing in {quote}: set account.quote to one of {quotes}, and symbols to its pairs."


def practice_symbols(settings: Settings, *, is_replay: bool, held: Collection[str] = ()) -> tuple[str, ...]:
    """The symbols for the practice exchange, which makes any pair up; raises `ConfigError` for what is no pair.

    A replay has the recording's own symbols and needs none. What is `held` it lists, too.
    """
    for name in () if is_replay else settings.symbols:
        base, _, quote = name.strip().partition("/")
        if not (base.isalnum() and quote.isalnum() and name.isascii()):
            raise ConfigError(
                f"{settings.where('symbols')}: {name!r} is not a pair. The practice market wants BASE/QUOTE, such as "
                "BTC/USDT."
            )
    return settings.symbols if is_replay else tuple(dict.fromkeys((*settings.symbols, *sorted(held))))


def make_engine(
    settings: Settings, limits: RiskLimits, instruments: Sequence[Instrument], session: SessionId
) -> Engine:
    """The hands."""
    config = EngineConfig(
        quote=settings.account.quote,
        intervals=settings.candles.intervals,
        decision_interval=settings.candles.decision,
        limits=limits,
        snapshot_ns=settings.journal.snapshot_s * SECOND_NS,
        disaster_stop=settings.orders.disaster_stop in ("always", settings.mode),
        time_rules=TimeRules(
            tuple(parse_blackout(text) for text in settings.orders.blackouts), parse_day_end(settings.orders.day_end),
            settings.orders.close_before_day_end,
        ),
        protections=make_protections(settings.risk.protections, interval_ns(settings.candles.decision)),
        cuts=make_cuts(settings.risk),
        entries=_entry_rule(settings),
    )
    return Engine(config, instruments, MessageMaker("engine", session))


def trail_band(settings: Settings) -> str:
    """`strategy.trail_band`, with "auto" answered: the practice market moves on second candles."""
    band = settings.strategy.trail_band
    if band != "auto":
        return band
    return "practice" if settings.venue == "practice" else "candles"


def _entry_rule(settings: Settings) -> EntryRule | None:
    if not settings.strategy.max_slippage:
        return None
    return EntryRule(settings.strategy.max_slippage, busy_hours=trail_band(settings) in ("standard", "candles"))


def _distance_rule(settings: Settings) -> DistanceRule | None:
    band, base = trail_band(settings), base_trail(settings)
    if band == "atr":
        return None
    if band == "practice":
        return DistanceRule(base, PRACTICE_ENTRY_SCALE, PRACTICE_EXIT_SCALE, busy_hours=False)
    if band == "candles":
        return DistanceRule(base, exit_scale=EXIT_REACH, follows_range=True)
    return DistanceRule(base)


def unknown_alpha(settings: Settings, outside: Collection[str] | None) -> str:
    """Which weight in the settings has no alpha, with the remedy; "" for none. `outside` as in `make_agents`."""
    try:
        make_alphas(settings.council.weights, outside)
    except UnknownAlphaError as error:
        return f"{settings.where('council', 'weights', error.name)}: {error}"
    return ""


def make_agents(
    settings: Settings, limits: RiskLimits, instruments: Sequence[Instrument], session: SessionId,
    chosen_weights: Callable[[], Mapping[str, float]] = dict, watch: AlphaWatch | None = None,
    panel: AlphaPanel | None = None, outside: Collection[str] | None = (),
    chosen_parameters: Callable[[], ParametersChanged | None] = lambda: None,
    strategies: Sequence[RuleChoice] | None = None,
) -> Mapping[str, Callable[[], Agent]]:
    """The brains, as makers (a failed agent is made anew). Only what can be traded is looked at.

    `chosen_weights`: what people set over the file's weights, asked each time the analyst is made. `panel`: the alphas
    that think elsewhere; `outside`: their names, None when not all are known. `chosen_parameters`: the tuned ones,
    asked each time an agent that goes by them is made. `strategies`: as chosen already; None: as `settings` say.
    """
    alpha_watch = watch or AlphaWatch()
    tradable = [i for i in instruments if i.quote == settings.account.quote]
    symbols = tuple(sorted(i.symbol for i in tradable))
    candles, council, scanner = settings.candles, settings.council, settings.scanner

    def parameters() -> Parameters | None:
        return held_parameters(settings, chosen_parameters())

    scanner_config = ScannerConfig(
        scanner.top, scanner.min_quote_volume, scanner.max_spread, scanner.refresh_s * SECOND_NS, candles.decision,
        min_age_ns=seconds_to_ns(scanner.min_age_h * 3600), quote=settings.account.quote,
    )
    if why := unknown_alpha(settings, outside):
        raise ConfigError(why)
    times_made = count()
    chosen = chosen_strategies(settings) if strategies is None else strategies
    return {
        "ceo": lambda: Ceo(limits, _ceo_config(settings), parameters()),
        "scanner": lambda: Scanner(scanner_config, symbols, [i.symbol for i in tradable if not i.is_trading]),
        "analyst": lambda: Analyst(
            AnalystConfig(
                candles.decision, candles.intervals, {**council.weights, **chosen_weights()},
                patience_ns=seconds_to_ns(council.plugin_timeout_s) + PATIENCE_BEYOND_NS,
            ), symbols,
            alpha_watch.put_on(make_alphas(council.weights, None)), panel,
        ),
        # Begun anew, it counts its proposals anew: the restart number keeps their ids unique.
        "strategy": lambda: _strategy(
            with_parameters(settings, parameters()), limits, tradable, session, next(times_made), chosen,
        ),
        "risk": lambda: RiskOfficer(limits, tradable, parameters=parameters()),
        "trader": Trader,
    }


def _strategy(
    settings: Settings, limits: RiskLimits, tradable: Sequence[Instrument], session: SessionId, restarts: int,
    chosen: Sequence[RuleChoice],
) -> Strategy:
    """`settings` with the tuned parameters laid over them."""
    council, decision_ns = settings.council, interval_ns(settings.candles.decision)
    config = CouncilConfig(
        decision_interval=settings.candles.decision,
        threshold=confidence_threshold(settings),
        quorum=council.quorum,
        proposal_ttl_ns=seconds_to_ns(council.proposal_ttl_s),
        cooldown_ns=longer_of(council.cooldown_s, council.cooldown_candles, decision_ns),
        kelly_memory_ns=longer_of(
            settings.strategy.kelly_memory_s, settings.strategy.kelly_memory_candles, decision_ns,
        ),
        records_holds=council.record_holds,
        first_entry=settings.strategy.first_entry == "on",
    )
    # With grids on every symbol the council has nothing to enter, nor with strategies that cannot be read: a book
    # without a strategy wishes for nothing.
    has_book = settings.strategy.rule != CONSENSUS
    book = RuleBook(chosen, tuple(sorted(each.symbol for each in tradable))) if has_book else None
    return Strategy(session, config, _rule(settings, limits, by_strategy=has_book), tradable, restarts, book)


def _ceo_config(settings: Settings) -> CeoConfig:
    """A regime is told once per decision candle: it must stay known until the next one."""
    usual = CeoConfig()
    decision_ns = interval_ns(settings.candles.decision)
    return replace(usual, regime_fresh_ns=max(usual.regime_fresh_ns, 2 * decision_ns))


def _rule(settings: Settings, limits: RiskLimits, *, by_strategy: bool) -> DecisionRule:
    """How trades are made: of a strategy's wish, or of the models' consensus."""
    strategy, sizing = settings.strategy, make_sizing(settings.risk)
    decision_ns = interval_ns(settings.candles.decision)
    expires_ns = longer_of(strategy.entry_expires_s, strategy.entry_expires_candles, decision_ns)
    max_hold_ns = max(strategy.max_hold_s * SECOND_NS, strategy.max_hold_candles * decision_ns)
    if by_strategy:
        return WishedTrade(SizeRule(strategy.position_size, limits, sizing), expires_ns, max_hold_ns)
    config = TrailingConsensusConfig(
        position_size=strategy.position_size,
        entry_trail_atr=strategy.entry_trail_atr,
        exit_trail_atr=strategy.exit_trail_atr,
        trail_min=strategy.trail_min,
        trail_max=strategy.trail_max,
        exit_trail_min=strategy.exit_trail_min,
        take_profit=strategy.take_profit,
        entry_expires_ns=expires_ns,
        max_hold_ns=max_hold_ns,
        distances=_distance_rule(settings),
    )
    return TrailingConsensus(config, limits, sizing)


def paper_config(settings: Settings) -> PaperConfig:
    """[paper]"""
    paper = settings.paper
    return PaperConfig(
        slippage=paper.slippage, fee=paper.fee, latency_ns=paper.latency_ms * 1_000_000, use_book=paper.use_book
    )
