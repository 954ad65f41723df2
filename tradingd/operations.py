"""What people and programs may ask of the running daemon (`tradingd.control.Control`)."""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from bus.clock import Clock
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, SessionId
from bus.messages import council, orders, system
from bus.messages.grid import StartGrid
from bus.messages.header import Message
from exchanges.venue import WantsSilence
from tradingd import mode_switch
from tradingd.conditions import Conditions
from tradingd.configured_grids import BY as BY_SETTINGS
from tradingd.control import ControlConflictError, ControlUnavailableError, DaemonStatus, VenueSilentError
from tradingd.feed_driver import FeedDriver
from tradingd.kill_file import KillFile, write_kill_file
from tradingd.life import BEHIND, STARTING, Life
from tradingd.plugins.panel import PluginReport
from tradingd.plugins.plugins import Plugins
from tradingd.profile import AlphaWatch, Inspected
from tradingd.read_model import ReadModel
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.runtime import Runtime
from tradingd.settings import Settings
from tradingd.status_report import StatusReport
from tradingd.tuner import Tuner
from tradingd.weight_keeper import WeightKeeper

_log = logging.getLogger(__name__)
_SENT_AT_ONCE: Final = ("market", "limit")


class Operations:
    """Made with the process; its parts come while the daemon starts, in this order: `clock` and `session`, `plugins`,
    then what `begin` takes. Until then each call says that the daemon is starting.
    """

    def __init__(
        self, settings: Settings, options: RunOptions, folder: Path, life: Life, replay: ReplayRun,
        conditions: Conditions,
    ) -> None:
        self.settings = settings
        self.read_model = ReadModel(settings.account.quote)
        self.alpha_watch = AlphaWatch()
        self.kill_file = KillFile(folder)
        self.is_replay = bool(options.replay)
        self.manual_orders = 0
        """How many ids of a person's orders were given in this session."""
        self.plugins: Plugins | None = None
        self.clock: Clock
        self.session: SessionId
        self._options = options
        self._folder = folder
        self._life = life
        self._replay = replay
        self._conditions = conditions
        self._tuner: Tuner | None = None
        self._runtime: Runtime
        self._driver: FeedDriver
        self._report: StatusReport
        self._weights: WeightKeeper

    def begin(
        self, runtime: Runtime, driver: FeedDriver, report: StatusReport, weights: WeightKeeper, tuner: Tuner,
    ) -> None:
        self._runtime = runtime
        self._driver = driver
        self._report = report
        self._weights = weights
        self._tuner = tuner

    def now(self) -> int:
        return self.clock.now()

    async def execute(self, body: object, *, by: str) -> Sequence[Message]:
        may_come_early = isinstance(body, orders.EngageKillSwitch) and self._conditions.is_restored
        is_stopping = self._life.end_asked.is_set()
        if (self._life.phase == STARTING and not may_come_early) or is_stopping:
            raise ControlUnavailableError(f"the daemon is {'stopping' if is_stopping else 'starting'}; try again")
        if self._replay.is_behind:
            raise ControlUnavailableError(f"{BEHIND}; try again")
        if isinstance(body, orders.ReleaseKillSwitch) and self.kill_file.exists:
            raise ControlConflictError(
                "KILL_FILE_PRESENT",
                f"the kill file {self.kill_file.path} is still there and would lock trading again at once: "
                "delete it, then unlock",
            )
        self._refuse_while_silent(body)
        self._replay.note(self._driver.items, by, body, self.clock.now())
        facts = self.obey(body, by=by)
        if isinstance(body, orders.ClosePosition) and self._runtime.engine.trading_state == "HALTED":
            for denial in (each.body for each in facts if isinstance(each.body, orders.OrderDenied)):
                self._runtime.health.close_refused(body.symbol, denial.message)
        return facts

    def _refuse_while_silent(self, body: object) -> None:
        """An entry that would be sent at once cannot be while the venue wants no requests: no order is made of it."""
        if not isinstance(body, orders.SubmitOrder) or body.side == "sell" or body.order_type not in _SENT_AT_ONCE:
            return
        venue = self._runtime.venue
        silent_s = venue.silent_for_s() if isinstance(venue, WantsSilence) else 0.0
        if silent_s > 0:
            raise VenueSilentError(
                "VENUE_RATE_LIMIT",
                f"{venue.name} wants no requests for another {silent_s:.1f} s (rate limit): nothing was sent, and no "
                "order was made; give it again then",
            )

    def obey(self, body: object, *, by: str) -> Sequence[Message]:
        """Do it, whoever asks and whatever the phase is; a replay that was cut off is told again through here."""
        if isinstance(body, system.VoteTradingState) and body.voter == "operator" and body.state == "ACTIVE":
            self._conditions.person_says_go_on()
        if isinstance(body, council.WeightChanged):
            return [self._runtime.set_weight(body, by=by)]
        try:
            return self._runtime.command(body, by=by)
        except Exception:
            if isinstance(body, orders.EngageKillSwitch) and not self.is_replay:
                self._leave_kill_file(body, by)
            raise

    def _leave_kill_file(self, body: orders.EngageKillSwitch, by: str) -> None:
        """The process dies of it (its journal cannot be written, say), so the next one must be told: it heeds the file
        before anything is sent. Its answer to the person, if there is one, is an error."""
        try:
            path = write_kill_file(self._folder, body.action, f"by {by}, as the process died of it: {body.reason}")
        except OSError as error:
            _log.critical("the kill switch was not engaged, and no kill file could be left: %s", error)
        else:
            _log.critical("the kill switch was not engaged: %s is left, and the next start heeds it", path)

    def by_settings(self, body: StartGrid) -> Sequence[Message]:
        """What the settings ask for is done as a person's command is, and given again where a cut replay goes on."""
        self._replay.note(self._driver.items, BY_SETTINGS, body, self.clock.now())
        return self.obey(body, by=BY_SETTINGS)

    def by_kill_file(self, command: orders.EngageKillSwitch) -> None:
        """The file appeared."""
        self._replay.note(self._driver.items, command.by, command, self.clock.now())
        self._runtime.command(command, by=command.by)

    def alpha_weights(self) -> Mapping[str, float]:
        wished = self.plugins.weights() if self.plugins is not None else {}
        chosen = {**wished, **self.settings.council.weights, **self.read_model.alphas.chosen_weights()}
        return {name: chosen.get(name, 0.0) for name in sorted({*self.alpha_watch.alphas, *wished})}

    def released_weight(self, alpha: str, by: str) -> council.WeightChanged:
        return self._weights.release(alpha, by)

    def plugin_reports(self) -> Sequence[PluginReport]:
        return self.plugins.reports() if self.plugins is not None else ()

    def inspected(self) -> Mapping[str, Inspected]:
        runners = self._runtime.runners.values()
        agents = {f"agent:{runner.name}": Inspected(runner.timing, runner.agent) for runner in runners}
        alphas = self.alpha_watch.inspected() | (self.plugins.inspected() if self.plugins is not None else {})
        return agents | {f"alpha:{name}": part for name, part in alphas.items()}

    def tuner(self) -> Tuner:
        if self._tuner is None or not self._life.is_up:
            raise ControlUnavailableError("the daemon is starting or stopping; try again")
        if self.is_replay:
            raise ControlConflictError("TUNING", "a replay is never tuned: it would not be the same session again")
        return self._tuner

    def switch_mode(self, mode: mode_switch.Mode, *, confirm: str, by: str) -> None:
        if not self._life.is_up:
            raise ControlUnavailableError("the daemon is starting or stopping; try again")
        if mode == "live" and confirm != "live":
            raise ControlConflictError("CONFIRM_LIVE", 'real money may be at stake: send "confirm": "live"')
        if self.is_replay:
            raise ControlConflictError(*mode_switch.REPLAY_REFUSAL)
        # First no more entries, then look: nothing can slip in between.
        self._conditions.mode(f"the mode is being switched to {mode}")
        engine = self._runtime.engine
        problem = mode_switch.why_not(
            mode, configured=self._options.configured_mode or self.settings.mode, is_replay=self.is_replay,
            working=[order.client_order_id for order in engine.orders.working()],
            held=engine.look().open_symbols,
        )
        if problem is not None:
            self._conditions.mode("")
            raise ControlConflictError(*problem)
        try:
            mode_switch.write_choice(self._folder, mode, by)
        except OSError as error:
            self._conditions.mode("")
            raise ControlUnavailableError(
                f"the mode stays: the choice cannot be written down ({error}). Free disk space or mend the rights."
            ) from error
        self._life.is_to_start_again = True
        self._life.end(f"switched to {mode} by {by}")

    def prices(self) -> Mapping[str, tuple[Decimal | None, Decimal | None, Decimal | None]]:
        return self._runtime.engine.prices()

    def next_manual_order_id(self) -> ClientOrderId:
        self.manual_orders += 1
        return ClientOrderId(f"{CLIENT_ID_PREFIX}{self.session}-m{self.manual_orders}")

    def request_shutdown(self, reason: str) -> None:
        self._life.end(reason)

    def status(self) -> DaemonStatus:
        self.refresh_portfolio()
        return self._report.make(
            self.session, now=self.clock.now(), not_ready_reason=self._life.phase, is_replay=self.is_replay,
        )

    def refresh_portfolio(self) -> None:
        """Of now: the last snapshot may be older than the orders that were given or ended since."""
        self.read_model.apply(self._runtime.make("status", self._runtime.engine.look()))
