"""Which facts are worth an alert, and how loud. Pure: a message in, an alert or none out."""

from collections.abc import Callable
from typing import Any, Final

from bus.messages import grid, ledger, orders, system
from bus.messages.header import Message
from market.interval import SECOND_NS
from market.money import ZERO, to_text
from tradingd.alerts.alert import Alert
from tradingd.story import is_of_our_own, money, price

_LATEST_RULE: Final = "cooldown"


class AlertRules:
    """`of` each message once, in order: a trading state is told when it changes, not when its reason does."""

    def __init__(self, quote: str) -> None:
        self._quote = quote
        self._state = ""
        self._rules: dict[type, Callable[[Any, int], Alert | None]] = {
            system.DaemonStarted: self._started,
            system.DaemonStopping: lambda b, ts: Alert("warning", "stopping", b.reason, ts),
            system.KillSwitchEngaged: lambda b, ts: Alert(
                "critical", "KILL SWITCH", f"engaged by {b.by} ({b.action}): {b.reason}", ts
            ),
            system.KillSwitchReleased: lambda b, ts: Alert(
                "critical", "kill switch released", f"by {b.by}: {b.reason}", ts
            ),
            system.TradingStateChanged: self._trading_state,
            system.AlertRaised: lambda b, ts: Alert(b.level, b.title, b.message, ts, f"raised:{b.title}:{b.message}"),
            system.LimitBreached: lambda b, ts: Alert("warning", "limit", b.message, ts, f"limit:{b.rule}"),
            system.LockPlaced: self._locked,
            system.AgentFailed: lambda b, ts: Alert(
                "warning", f"agent {b.agent} failed", b.error, ts, f"agent:{b.agent}"
            ),
            system.ReconciliationCompleted: self._reconciled,
            orders.OrderUnknown: lambda b, ts: Alert(
                "warning", f"{b.symbol}: order unknown", f"no answer for {b.client_order_id}: {b.reason}", ts
            ),
            orders.OrderRejected: lambda b, ts: Alert(
                "warning", f"{b.symbol}: order rejected" if is_of_our_own(b.reason) else
                f"{b.symbol}: rejected by the venue", f"{b.client_order_id}: {b.reason}", ts,
                f"rejected:{b.symbol}:{b.reason}",
            ),
            ledger.PositionOpened: lambda b, ts: Alert(
                "info", f"{b.symbol}: position opened", f"{to_text(b.quantity)} at {price(b.average_price)}", ts
            ),
            ledger.PositionClosed: self._closed,
            ledger.FundsChanged: lambda b, ts: Alert(
                "info", "funds", f"{money(b.delta)} {b.asset}: {b.reason}", ts
            ),
            grid.GridStopped: lambda b, ts: Alert("warning", f"{b.symbol}: grid stopped", b.reason, ts),
        }

    @property
    def types(self) -> frozenset[type]:
        """Bodies that may become an alert."""
        return frozenset(self._rules)

    def of(self, message: Message) -> Alert | None:
        """None for what nobody needs to be told."""
        rule = self._rules.get(type(message.body))
        return None if rule is None else rule(message.body, message.header.ts)

    @staticmethod
    def _started(body: system.DaemonStarted, ts: int) -> Alert:
        what = "a replay" if body.is_replay else f"{body.mode} trading on {body.venue}"
        return Alert("info", "started", f"{what}, {', '.join(body.symbols)} (version {body.version})", ts)

    def _trading_state(self, body: system.TradingStateChanged, ts: int) -> Alert | None:
        before, self._state = self._state, body.state
        if before in ("", body.state):
            return None
        return Alert("info" if body.state == "ACTIVE" else "warning", f"trading is {body.state}", body.reason, ts)

    @staticmethod
    def _locked(body: system.LockPlaced, ts: int) -> Alert | None:
        if body.rule == _LATEST_RULE:
            return None
        rest_s = (body.until_ns - body.since_ns) / SECOND_NS
        where = "all symbols" if body.symbol == "*" else body.symbol
        return Alert("warning", f"{where}: locked for {rest_s:g} s", body.reason, ts)

    @staticmethod
    def _reconciled(body: system.ReconciliationCompleted, ts: int) -> Alert | None:
        if not body.corrections:
            return None
        return Alert("warning", "books corrected", "; ".join(body.corrections), ts)

    def _closed(self, body: ledger.PositionClosed, ts: int) -> Alert:
        word = "profit" if body.realized_pnl > ZERO else "loss" if body.realized_pnl < ZERO else "even"
        text = f"{word} {money(body.realized_pnl)} {self._quote} (bought {price(body.entry_price)}, sold "
        return Alert("info", f"{body.symbol}: position closed", f"{text}{price(body.exit_price)})", ts)
