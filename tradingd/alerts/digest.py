"""The daily sign of life: that the daemon lives, and how it stands, in a few lines."""

from typing import Final

from market.interval import SECOND_NS
from market.money import to_text
from tradingd.alerts.alert import Alert
from tradingd.control import Control

DAY_S: Final = 86_400


class DigestClock:
    """Says once a day that the digest is due, at `at_s` seconds of the UTC day; a start after that time waits."""

    def __init__(self, at_s: int, now: int) -> None:
        self._at_s = at_s
        self._done = self._day(now)

    def is_due(self, now: int) -> bool:
        """True once for each day; days that were slept through count as one."""
        day = self._day(now)
        if day <= self._done:
            return False
        self._done = day
        return True

    def _day(self, now: int) -> int:
        return (now // SECOND_NS - self._at_s) // DAY_S


def make_digest(control: Control, notes: tuple[str, ...]) -> Alert:
    """What a person wants to know once a day; `notes` are added as they are."""
    model, status = control.read_model, control.status()
    lines = [f"alive for {_span(status.uptime_s)}, trading is {model.trading().state}"]
    kill = model.kill_view()
    if kill is not None:
        lines.append(f"KILL SWITCH engaged by {kill.by} ({kill.action}) since {kill.since}: {kill.reason}")
    portfolio = model.results.portfolio
    if portfolio is not None:
        lines.append(f"equity {portfolio.equity:,.2f} {model.quote}, drawdown today {portfolio.daily_drawdown:.2%}")
    for day in model.risk.day_views(2):
        lines.append(f"{day.day}: profit {day.profit} {model.quote} in {day.trades} round trips ({day.wins} won)")
    held = [f"{to_text(each.quantity)} {each.symbol}" for each in model.results.holdings.values()]
    lines.append(f"holding {', '.join(sorted(held))}" if held else "holding nothing")
    counts = model.counts()
    lines.append(f"{counts.working} orders work, {counts.unknown} unknown")
    lines += [f"wrong now: {problem.text}" for problem in status.problems] or ["nothing is wrong"]
    return Alert("info", "daily digest", "\n".join((*lines, *notes)), control.now(), is_digest=True)


def _span(seconds: float) -> str:
    days, rest = divmod(int(seconds), DAY_S)
    hours, rest = divmod(rest, 3600)
    return f"{days} d {hours} h" if days else f"{hours} h {rest // 60} min"
