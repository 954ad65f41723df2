"""What the council did, told: what kind of market it was, what each agent did and why, money, and what protected it.

`tell` makes sections of plain sentences from numbers that were counted before (`council_log`, `market_kind`); it
computes shares and sums, and decides nothing. The same run gives the same words. Money in quote, ratios as fractions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from research.backtest import charts
from research.backtest.bars import Bars
from research.backtest.council_log import CouncilLog
from research.backtest.market_kind import CRASH_FALL, QUIET_RANGE, TREND_CHANGE, MarketKind, judge_market
from research.backtest.trades import Trade
from risk.codes import DENIAL_CODES

_SHOWN: Final = 4
_MONTH_AND_A_HALF_NS: Final = 45 * 86_400 * 1_000_000_000
_EXITS: Final[Mapping[str, str]] = {
    "stop": "the stop-loss", "trail": "the trailing exit", "target": "take-profit", "rule": "a decision of the council",
}
_DECISIONS: Final = (
    ("hold", "the models held"), ("quorum", "too little weight stood behind the winning side"),
    ("tie", "they tied"), ("dispute", "they disagreed, and the dispute ended in hold"),
    ("weak buy", "they leant to buy, not surely enough"), ("weak sell", "they leant to sell, not surely enough"),
    ("buy", "they said buy"), ("sell", "they said sell"),
)
_QUIET_WORDS: Final[Mapping[str, str]] = {
    "nothing is held": "nothing was held that could be sold",
    "a position is open": "a position was open already",
    "an entry is working": "an entry was waiting already",
    "an exit is working": "an exit was under way already",
    "the pause after the last proposal is not over": "the pause after the last proposal was not over",
    "from": "it was between 14:00 and 16:00 UTC, when only urgent entries are made",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and sentences under it."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CouncilRun:
    """All that is told of. `equity` at each close; `rule`: who decided (`strategy.rule`)."""

    bars: Bars
    equity: Sequence[float]
    start_cash: float
    trades: Sequence[Trade]
    alphas: Mapping[str, Mapping[str, Any]]
    log: CouncilLog
    rule: str


def tell(run: CouncilRun) -> list[Section]:
    """The whole story, sections in the order in which a person asks."""
    arrays = run.bars.arrays()
    market = judge_market(arrays)
    sections = [
        Section("The market" if _is_long(run) else f"The market was {market.kind}", tuple(_market(run, market))),
        Section("In short", tuple(_short(run, market))),
        Section("Month by month", tuple(_months(run))),
        Section("What each agent did", tuple(_agents(run))),
        Section("Money", tuple(_money(run))),
        Section("What protected it in the fall", tuple(_protection(run, market))),
        Section("The models", tuple(_models(run))),
    ]
    return [section for section in sections if section.lines]


# ---- the market ------------------------------------------------------------------------------------


def _market(run: CouncilRun, market: MarketKind) -> list[str]:
    bars = run.bars
    first, last = bars.columns.open.floats()[0], bars.close[-1]
    lines = [
        f"{bars.symbol} went from {_price(first)} to {_price(last)} ({_change(market.change, TREND_CHANGE)}) from "
        f"{_day(int(bars.ts[0]))} to {_day(int(bars.ts[-1]))}; highest {_price(market.highest)} on "
        f"{_day(market.highest_ts)}, lowest {_price(market.lowest)} on {_day(market.lowest_ts)}, "
        f"{_percent(market.range, QUIET_RANGE)} apart.",
        f"The deepest fall within seven days was {_percent(market.fall, CRASH_FALL)}: from "
        f"{_moment(market.fall_from_ts)} to {_moment(market.fall_to_ts)}. "
        f"A usual candle of {bars.interval} moved {_percent(market.usual_move)}.",
    ]
    if not _is_long(run):
        lines.append(_why_kind(market))
    if run.log.regimes:
        lines.append(f"Candle by candle the analyst called it {_shares(run.log.regimes)}.")
    return lines


def _is_long(run: CouncilRun) -> bool:
    """More than a month and a half: one word for it all would be wrong, each month has its own."""
    return int(run.bars.ts[-1]) - int(run.bars.ts[0]) >= _MONTH_AND_A_HALF_NS


def _why_kind(market: MarketKind) -> str:
    way = f"the way there was {1 / market.efficiency:.1f} times a straight line" if market.efficiency > 0.01 else (
        "it ended where it began"
    )
    return {
        "crashing": "Crashing, for it fell by 20 % or more within a week" + (
            "; all the same it ended higher than it began." if market.change > 0.0 else "."
        ),
        "trending": f"Trending, for it changed by 10 % or more and went there straight: {way}.",
        "quiet": f"Quiet, for its highest and lowest price were less than 15 % apart; {way}.",
        "choppy": f"Choppy: neither a fall of 20 % within a week nor a straight way nor a narrow range; {way}.",
    }[market.kind]


def _short(run: CouncilRun, market: MarketKind) -> list[str]:
    final = run.equity[-1]
    change, hold = final / run.start_cash - 1.0, float(run.bars.close[-1] / run.bars.close[0] - 1.0)
    exposure = run.log.exposure
    most, depth = _largest_position(run), _depth(run.equity, run.start_cash)
    invested = max(_time_in_trades(run), sum(share > 0.0 for share in exposure) / max(len(exposure), 1))
    lines = [
        f"{_amount(run.start_cash)} became {_amount(final)} ({_change(change)}); buying and holding gave "
        f"{_change(hold)}.",
        f"It was in the market {_percent(invested)} of the time, with at most {_percent(most)} of equity. The deepest "
        f"drawdown was {_percent(depth)}; the market's deepest fall within a week was "
        f"{_percent(market.fall, CRASH_FALL)}.",
    ]
    if not run.trades:
        lines.append("It closed no trade" + ("; what it bought is still held." if run.log.filled else "."))
    if abs(hold) >= 0.05 and most * invested < 0.1:
        part = "rise" if hold > 0 else "fall"
        lines.append(f"With so little in the market for so short a time it took hardly any part in the {part}.")
    return lines


def _months(run: CouncilRun) -> list[str]:
    """A line for each calendar month, when there is more than one and a half."""
    arrays, equity = run.bars.arrays(), np.asarray(run.equity)
    if not _is_long(run):
        return []
    numbers = arrays.ts.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    first_of = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    lines = []
    for begin, end in pairwise((*first_of, len(numbers))):
        market = judge_market(arrays, slice(begin, end))
        before, name = equity[begin - 1] if begin else run.start_cash, _day(int(arrays.ts[begin]))[:7]
        closed = [each for each in run.trades if _day(each.exit_ts)[:7] == name]
        profit = sum(float(each.pnl) for each in closed)
        told = f"{_count(len(closed), 'trade', 'trades')}, {_gain(profit)}" if closed else "no trade"
        lines.append(
            f"{name}: {market.kind}, {_change(market.change)}; the council "
            f"{_change(float(equity[end - 1] / before) - 1.0)}, {told}."
        )
    return lines


# ---- the agents ------------------------------------------------------------------------------------


def _agents(run: CouncilRun) -> list[str]:
    log = run.log
    return [*_ceo(run), *_scanner_and_analyst(log), *_strategy(run), *_officer(log), *_trader(log)]


def _ceo(run: CouncilRun) -> list[str]:
    log = run.log
    lines = [f"CEO: its mandate was {_shares(log.mandates)} of the time."]
    changes = [event for event in log.events if event.kind == "mandate"]
    grave = [event for event in changes if event.text.startswith("risk_off")]
    if grave:
        told = "; ".join(f"{_moment(event.ts)} ({event.text.partition(': ')[2]})" for event in grave[:_SHOWN])
        lines.append(f"CEO: it turned to risk_off {_times(len(grave))}: {told}.")
    if log.restarts:
        lines.append(f"CEO: it restarted agents {_times(log.restarts)}.")
    return lines


def _scanner_and_analyst(log: CouncilLog) -> list[str]:
    analysed, signals = sum(log.regimes.values()), sum(log.signals.values())
    return [
        f"Scanner: it ranked the market and had the symbol on its list {_times(log.rankings)}.",
        f"Analyst: it judged {analysed:,} candles and heard {signals:,} opinions of its models: {_shares(log.signals)}."
        if signals else f"Analyst: it judged {analysed:,} candles; no model had an opinion.",
    ]


def _strategy(run: CouncilRun) -> list[str]:
    log, total = run.log, sum(run.log.decisions.values())
    lines = []
    if total:
        told = "; ".join(f"{words} {_times(log.decisions[key])}" for key, words in _DECISIONS if log.decisions[key])
        lines.append(f"Strategy: of {total:,} decisions {told}.")
    if run.rule != "consensus":
        lines.append(f"Strategy: {run.rule} decided when to trade; the models could only object to a purchase.")
    lines.append(
        f"Strategy: it proposed {_count(log.proposals['buy'], 'entry', 'entries')} and "
        f"{_count(log.proposals['sell'], 'exit', 'exits')}."
    )
    for side in ("buy", "sell") if run.rule == "consensus" else ():
        held_back = Counter({why: count for (word, why), count in log.unproposed.items() if word == side})
        if held_back:
            reasons = _reasons(Counter({_QUIET_WORDS.get(why, why): count for why, count in held_back.items()}))
            lines.append(f"Strategy: {_times(held_back.total())} it did not act on a {side}: {reasons}.")
    return lines


def _officer(log: CouncilLog) -> list[str]:
    lines = [
        f"Risk officer: it approved {_count(log.approvals, 'proposal', 'proposals')} and vetoed "
        f"{log.vetoes.total() or 'none'}."
    ]
    if log.shrunk:
        lines.append(f"Risk officer: it made {log.shrunk.total():,} of them smaller: {_reasons(log.shrunk)}.")
    lines += [f"Risk officer: vetoed {_times(count)} with {_code(code)}" for code, count in log.vetoes.most_common()]
    lines += [f"Gate: denied {_times(count)} with {_code(code)}" for code, count in log.denials.most_common()]
    if not log.denials:
        lines.append("Gate: it denied nothing.")
    return lines


def _trader(log: CouncilLog) -> list[str]:
    if not log.entries:
        return ["Trader: it had nothing to send."]
    lines = [f"Trader: of {_count(log.entries, 'entry order', 'entry orders')} {log.filled:,} were filled."]
    if log.unfilled:
        lines.append(f"Trader: {log.unfilled.total():,} ended unfilled: {_reasons(log.unfilled)}.")
    return lines


# ---- money -----------------------------------------------------------------------------------------


def _money(run: CouncilRun) -> list[str]:
    trades = run.trades
    if not trades:
        return ["No trade was closed, so nothing was won or lost for good."]
    profit, fees = sum(float(each.pnl) for each in trades), sum(float(each.fees) for each in trades)
    won = sum(each.pnl > 0 for each in trades)
    lines = [
        f"{_count(len(trades), 'trade', 'trades')}, {won} won: together {_gain(profit)} after fees of {fees:,.2f}."
    ]
    if profit <= 0.0 < profit + fees:
        lines.append("Without fees it would have been a gain: it traded too much for too little.")
    best, worst = max(trades, key=lambda each: each.pnl), min(trades, key=lambda each: each.pnl)
    lines.append(f"Best: {_trade(best)}. Worst: {_trade(worst)}." if best is not worst else f"It was {_trade(best)}.")
    for kind, words in _EXITS.items():
        ended = [each for each in trades if each.exit_reason == kind]
        if ended:
            sum_ = sum(float(each.pnl) for each in ended)
            lines.append(f"{_count(len(ended), 'trade was', 'trades were')} ended by {words}: {_gain(sum_)}.")
    return lines


def _trade(trade: Trade) -> str:
    hours, change = (trade.exit_ts - trade.entry_ts) / 3.6e12, float(trade.exit_price / trade.entry_price) - 1.0
    return (
        f"{_gain(float(trade.pnl))} ({_change(change)} in {hours:,.1f} hours from "
        f"{_moment(trade.entry_ts)}, ended by {_EXITS.get(trade.exit_reason, trade.exit_reason)})"
    )


# ---- what protected it -----------------------------------------------------------------------------


def _protection(run: CouncilRun, market: MarketKind) -> list[str]:
    """Of the deepest fall within seven days, when it was one worth the name."""
    if market.fall < 0.05:
        return []
    begin, end = market.fall_from_ts, market.fall_to_ts
    first, last = (int(np.searchsorted(run.bars.ts, at)) for at in (begin, end))
    equity, exposure = np.asarray(run.equity), np.asarray(run.log.exposure)
    kept = equity[last] / equity[first] - 1.0
    lines = [
        f"From {_moment(begin)} to {_moment(end)} the market fell by {_percent(market.fall, CRASH_FALL)}; equity "
        f"changed by {_change(float(kept))}.",
        f"At the top {_percent(float(exposure[first]))} of equity was in the market, at the closes of the fall at most "
        f"{_percent(float(exposure[first : last + 1].max()))}: the limits on exposure are the first protection.",
    ]
    lines += _what_happened(run, begin, end)
    lines += _exits_in(run, begin, end)
    return lines


def _what_happened(run: CouncilRun, begin: int, end: int) -> list[str]:
    log = run.log
    entries = sum(begin <= at <= end for at in log.entry_times)
    vetoes = sum(begin <= at <= end for at in log.veto_times)
    refused = f", {vetoes} more were vetoed" if vetoes else ""
    lines = [f"In the fall {_count(entries, 'entry was', 'entries were')} ordered{refused}."]
    told = {"mandate": "The mandate became", "state": "Trading became", "limit": "A limit was reached:",
            "lock": "Entries were locked:", "kill": "The kill switch engaged:"}
    known = [event for event in log.events if begin <= event.ts <= end]
    # Between risk_on and neutral it comes and goes with the regime: counted, not told one by one.
    moods = [event for event in known if event.kind == "mandate" and not event.text.startswith("risk_off")]
    happened = [event for event in known if event not in moods]
    if moods:
        lines.append(f"The mandate changed {_times(len(moods))} between risk_on and neutral, with the regime.")
    lines += [f"{_moment(each.ts)}: {told[each.kind]} {each.text.rstrip('.')}." for each in happened[: 2 * _SHOWN]]
    if len(happened) > 2 * _SHOWN:
        lines.append(f"{len(happened) - 2 * _SHOWN} more of such events followed.")
    return lines


def _exits_in(run: CouncilRun, begin: int, end: int) -> list[str]:
    ended = [each for each in run.trades if begin <= each.exit_ts <= end]
    if not ended:
        return ["No position was closed in the fall."]
    kinds = Counter(_EXITS.get(each.exit_reason, each.exit_reason) for each in ended)
    worst = min(float(each.exit_price / each.entry_price) - 1.0 for each in ended)
    total = sum(float(each.pnl) for each in ended)
    lines = [
        f"{_count(len(ended), 'position was', 'positions were')} closed in it, by {_reasons(kinds)}: {_gain(total)}."
    ]
    if worst < 0.0:
        stops, stood = run.log.stops, ""
        if stops:
            stood = f"; stop-losses stood {_percent(min(stops))} to {_percent(max(stops))} below the entries"
        lines.append(f"The worst of them lost {_percent(-worst)} of its price{stood}.")
    return lines


# ---- the models ------------------------------------------------------------------------------------


def _models(run: CouncilRun) -> list[str]:
    lines = []
    for name, figures in run.alphas.items():
        if not figures["signals"]:
            continue
        accuracy = figures["accuracy"]
        right = "never put to the test"
        if accuracy is not None:
            right = f"right about the next candle in {_percent(accuracy)}"
        votes = f"{_count(figures['entries'], 'trade', 'trades')} on its vote: {_gain(figures['contribution'])}"
        if not figures["entries"]:
            votes = "no trade on its vote"
        lines.append(
            f"{name}: {figures['buys']:,} times buy, {figures['sells']:,} times sell, {right}; {votes}."
        )
    if lines:
        lines.append("50 % is a coin's; and one candle is less than a trade lives on.")
    return lines


# ---- words -----------------------------------------------------------------------------------------


def _time_in_trades(run: CouncilRun) -> float:
    whole = int(run.bars.ts[-1]) - int(run.bars.ts[0])
    return sum(each.exit_ts - each.entry_ts for each in run.trades) / whole if whole > 0 else 0.0


def _largest_position(run: CouncilRun) -> float:
    """Share of equity; a position may come and go between two closes."""
    bought = max((float(each.entry_price * each.quantity) / run.start_cash for each in run.trades), default=0.0)
    return max(bought, max(run.log.exposure, default=0.0))


def _depth(equity: Sequence[float], start_cash: float) -> float:
    curve = np.concatenate(([start_cash], np.asarray(equity)))
    return float((1.0 - curve / np.maximum.accumulate(curve)).max())


def _shares(counts: Counter[str]) -> str:
    total = counts.total()
    return ", ".join(f"{name} {_percent(count / total)}" for name, count in counts.most_common())


def _reasons(counts: Counter[str]) -> str:
    shown = counts.most_common(_SHOWN)
    told = [f"{why} ({count})" for why, count in shown]
    rest = counts.total() - sum(count for _, count in shown)
    return "; ".join(told) + (f"; other reasons ({rest})" if rest else "")


def _code(code: str) -> str:
    known = DENIAL_CODES.get(code)
    return f"{code}: {known.meaning}" if known else f"{code}."


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _count(count: int, one: str, many: str) -> str:
    return f"{'no' if not count else f'{count:,}'} {one if count == 1 else many}"


def _percent(ratio: float, bound: float = 0.0) -> str:
    """Whole percents from 10 on, one place from 1 on, two below: 38 %, 3.2 %, 0.04 %.

    One that is below `bound` does not read as if it were at it: 19.98 %, not 20 %.
    """
    size = abs(percent := ratio * 100.0)
    if size < 0.005:
        return "0 %"
    places = 0 if size >= 9.95 else 1 if size >= 0.995 else 2
    if bound and size < 100.0 * bound:
        while places < 4 and round(size, places) >= round(100.0 * bound, places):
            places += 1
    return f"{percent:.{places}f} %"


def _change(ratio: float, bound: float = 0.0) -> str:
    text = _percent(ratio, bound)
    return text if text.strip("-0. %") == "" or ratio < 0.0 else f"+{text}"


def _gain(value: float) -> str:
    text = f"{value:+,.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text


def _price(value: float) -> str:
    return charts.price_text(float(value))


def _amount(value: float) -> str:
    return f"{value:,.2f}"


def _day(ts: int) -> str:
    return datetime.fromtimestamp(ts // 10**9, UTC).strftime("%Y-%m-%d")


def _moment(ts: int) -> str:
    return datetime.fromtimestamp(ts // 10**9, UTC).strftime("%Y-%m-%d %H:%M")
