"""What a person may tell the bot to do, carried out as the API would."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bus.messages.orders import (
    CancelAllOrders,
    EngageKillSwitch,
    KillAction,
    OrderCancelled,
    OrderPendingCancel,
    ReleaseKillSwitch,
)
from bus.messages.system import BY_RULE, VoteTradingState
from tradingd.alerts import telegram_views as views
from tradingd.control import Control, ControlConflictError, ControlUnavailableError
from tradingd.plain_text import one_line
from tradingd.redaction import redact

_SEVERITY: Final[dict[KillAction, int]] = {"halt": 0, "cancel": 1, "flatten": 2}
_MAX_REASON: Final = 200
_ASKS_FIRST: Final = frozenset({"start", "resume", "stop", "unlock"})
_ACTS: Final = frozenset({"start", "resume", "stop", "unlock", "pause", "kill"})
_VIEWS: Final[Mapping[str, Callable[[Control], str]]] = {
    "status": views.status_text,
    "positions": views.positions_text,
    "orders": views.orders_text,
    "profit": views.profit_text,
    "help": lambda control: views.HELP,
}


@dataclass(frozen=True, slots=True)
class Command:
    """`/name@bot rest` as a person wrote it; "" as name for what is no command, as `bot` when none was named."""

    name: str
    rest: str
    bot: str = ""

    @property
    def is_kill(self) -> bool:
        return self.name == "kill"

    @property
    def is_known(self) -> bool:
        return self.name in _ACTS or self.name in _VIEWS or self.name == "explain"

    @property
    def needs_code(self) -> bool:
        """Acts that could cost money when somebody slips: everything that sells, ends orders, or lets trading begin.

        What only makes things safer (/pause, /kill) happens at once.
        """
        return self.name in _ASKS_FIRST or (self.is_kill and kill_wish(self.rest)[0] == "flatten")


def parse_command(text: str) -> Command:
    """`/kill@our_bot flatten now` -> kill, "flatten now"; what follows may stand on lines of its own."""
    word, *rest = text.split() or [""]
    if not word.startswith("/"):
        return Command("", text.strip())
    name, _, bot = word[1:].partition("@")
    return Command(name.lower(), redact(one_line(" ".join(rest))), bot.lower())


def kill_wish(rest: str) -> tuple[KillAction, str]:
    """Action and reason; "cancel" as for the kill file, unless the first word is another action."""
    word, _, reason = rest.partition(" ")
    wanted = word.lower()
    if wanted == "halt":
        return "halt", reason
    if wanted == "flatten":
        return "flatten", reason
    return "cancel", reason if wanted == "cancel" else rest


async def carry_out(control: Control, command: Command, by: str) -> str:
    """Do it (the caller has asked for the code) and say what came of it. Never raises for what a person can cause."""
    view = _VIEWS.get(command.name)
    if view is not None:
        return view(control)
    if command.name == "explain":
        return views.explain_text(control, command.rest)
    try:
        return await _act(control, command, by)
    except (ControlUnavailableError, ControlConflictError) as error:
        return f"not done: {error}"


async def _act(control: Control, command: Command, by: str) -> str:
    reason = command.rest[:_MAX_REASON]
    match command.name:
        case "kill":
            return await _kill(control, command.rest, by)
        case "unlock":
            if control.read_model.kill is None:
                return "the kill switch is not engaged"
            await control.execute(ReleaseKillSwitch(by, reason or "over telegram"), by=by)
            return f"kill switch released\n{_state(control)}"
        case "pause":
            await control.execute(VoteTradingState("operator", "REDUCING", f"paused by {by}"), by=by)
            return _state(control)
        case "stop":
            return await _stop(control, by)
    word = "started" if command.name == "start" else "resumed"
    await control.execute(VoteTradingState("operator", "ACTIVE", f"{word} by {by}"), by=by)
    return _state(control)


async def _stop(control: Control, by: str) -> str:
    reason = f"stopped by {by}"
    await control.execute(VoteTradingState("operator", "REDUCING", reason), by=by)
    facts = await control.execute(CancelAllOrders("entries", reason=reason), by=by)
    asked = {each.body.client_order_id for each in facts if isinstance(each.body, OrderCancelled | OrderPendingCancel)}
    awaited = {
        record.id for record in control.read_model.order_fold.working()
        if record.detail == "pending_cancel" and record.spec.side == "buy"
    }
    told = f"{_state(control)}\ncancelled {len(asked - awaited)} entries"
    if awaited:
        told += f"; the exchange was asked to cancel {len(awaited)} and has not confirmed it yet (/orders shows them)"
    return told


async def _kill(control: Control, rest: str, by: str) -> str:
    action, reason = kill_wish(rest)
    latch = control.read_model.kill
    if latch is not None and latch.by != BY_RULE and _SEVERITY[latch.action] >= _SEVERITY[action]:
        return f"engaged already ({latch.action} by {latch.by})\n{_state(control)}"
    await control.execute(EngageKillSwitch(action, reason[:_MAX_REASON] or "over telegram", by), by=by)
    kill = control.read_model.kill_view()
    told = "the kill switch did not engage: look at /status" if kill is None else f"KILL SWITCH engaged: {kill.action}"
    return f"{told}\n{_state(control)}" + (f"\n{kill.progress}" if kill is not None and kill.progress else "")


def _state(control: Control) -> str:
    trading = control.read_model.trading()
    against = [f"{vote.voter} says {vote.state} ({vote.reason})" for vote in trading.votes if vote.state != "ACTIVE"]
    return f"trading is {trading.state}" + (f": {'; '.join(against)}" if against else "")
