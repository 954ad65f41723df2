"""The two kinds of practice exchange, each with its run loop: a synthetic market, or a recording."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from exchanges.practice.account import Account
from exchanges.practice.coinbase.door import CoinbaseDoor
from exchanges.practice.coinbase.keys import CoinbaseKeys
from exchanges.practice.coinbase.side import CoinbaseSide
from exchanges.practice.config import PracticeConfig
from exchanges.practice.desk import Desk
from exchanges.practice.fault_control import FaultControl
from exchanges.practice.fault_hand import FaultHand
from exchanges.practice.fault_market import FrameFaults
from exchanges.practice.fault_orders import OrderFaults
from exchanges.practice.faults import Faults
from exchanges.practice.hub import Hub
from exchanges.practice.market_socket import market_socket
from exchanges.practice.market_view import MarketView
from exchanges.practice.matching import Matching
from exchanges.practice.pairs import synthetic_pair
from exchanges.practice.recording_files import open_session
from exchanges.practice.replay import Replay, ReplayView, choose_shift
from exchanges.practice.rest_account import AccountRest
from exchanges.practice.rest_market import MarketRest
from exchanges.practice.signing import Signing
from exchanges.practice.state_file import MarketFile
from exchanges.practice.synthetic import STEP_MS, SyntheticMarket
from exchanges.practice.synthetic_view import SyntheticPublisher, SyntheticView
from exchanges.practice.ws_api import WsApi

_CATCH_UP_MS: Final = 30_000  # a longer pause is leapt over instead of stepped through
_PRELUDE_MS: Final = 5_000    # a new market begins this long ago: books and trades are there before anybody asks
_SAVE_EVERY: Final = 5        # steps
_FOLDER: Final = "practice"


class Exchange(Protocol):
    """What the server runs."""

    def routes(self) -> list[web.RouteDef]: ...

    async def run(self) -> None:
        """Until cancelled."""
        ...

    @property
    def faults(self) -> Faults: ...

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside `run`, until cancelled."""
        ...

    def cut_clients(self) -> None:
        """End all websockets."""
        ...

    def close(self) -> None:
        """Save and let go."""
        ...


class _Floor:
    """What both kinds share: sockets, account, matching, REST."""

    def __init__(self, config: PracticeConfig, view: MarketView, account_file: Path) -> None:
        started = time.monotonic()
        self.faults = Faults(config.faults, lambda: time.monotonic() - started)
        frame_faults, order_faults = FrameFaults(self.faults), OrderFaults(self.faults)
        self.hub = Hub(frame_faults.on_binance_frame)
        opening = {pair.quote: config.capital for pair in view.pairs.values()}
        self.account = Account(account_file, opening)
        self.matching = Matching(view, self.account, self._tell, order_faults)
        desk = Desk(view, self.account, self.matching, order_faults.hides)
        signing = Signing(view, config.api_secrets, self.faults.skew_ms)
        self.ws_api = WsApi(view, desk, signing, frame_faults)
        self.coinbase = CoinbaseDoor(
            CoinbaseSide(view, self.account, self.matching, order_faults.hides, self.faults),
            CoinbaseKeys(account_file.parent, is_checked=config.checks_coinbase_key), self.hub, frame_faults,
        )
        self._rest = (
            MarketRest(view, self.faults.skew_ms, lambda name: self.faults.lasts("maintenance", name)),
            AccountRest(desk, signing),
        )
        self._hand = FaultHand(
            self.faults, view, self.account, self.matching, cut_market=self._cut_market, cut_user=self._cut_user,
        )

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        return [self._hand.run(), self.coinbase.beat()]

    def _tell(self, event: dict[str, Any]) -> None:
        self.ws_api.tell(event)
        self.coinbase.tell(event)

    def routes(self) -> list[web.RouteDef]:
        market, account = self._rest
        return [
            *market.routes(), *account.routes(), *self.ws_api.routes(), *self.coinbase.routes(),
            *FaultControl(self.faults).routes(),
            web.get("/stream", market_socket(self.hub, is_wrapped=True)),
            web.get("/ws", market_socket(self.hub, is_wrapped=False)),
            web.get("/ws/{stream:.+}", market_socket(self.hub, is_wrapped=False)),
        ]

    def cut_clients(self) -> None:
        self._cut_market()
        self._cut_user()

    def _cut_market(self) -> None:
        self.hub.cut_all()
        self.coinbase.cut_market()

    def _cut_user(self) -> None:
        self.ws_api.cut_all()
        self.coinbase.cut_user()


class SyntheticExchange:
    """The synthetic market advanced by the wall clock, 100 ms at a time."""

    def __init__(self, config: PracticeConfig) -> None:
        folder = config.data_dir / _FOLDER
        pairs = [synthetic_pair(symbol) for symbol in config.symbols]
        self._market = SyntheticMarket(pairs, config.seed, config.volatility, _wall_ms() - _PRELUDE_MS)
        self._file = MarketFile(folder, self._market, config.seed)
        self._file.restore()
        view = SyntheticView(self._market, config.seed)
        self._floor = _Floor(config, view, folder / "account-synthetic.jsonl")
        self._publisher = SyntheticPublisher(self._market, view, self._floor.hub, self._floor.matching)
        self._catch_up()
        self._file.save_all()

    def _catch_up(self) -> None:
        """To the present: a short pause is lived through unheard, a long one is leapt over."""
        now = _wall_ms()
        if now - self._market.now_ms > _CATCH_UP_MS and self._market.leap(now):
            return
        while self._market.now_ms + STEP_MS <= now:
            self._step()

    def _step(self) -> None:
        steps = self._market.step()
        for name, step in steps.items():
            for tier, bar in step.closed:
                self._file.closed(name, tier, bar)
        self._publisher.publish(steps)

    @property
    def faults(self) -> Faults:
        return self._floor.faults

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        return self._floor.beside()

    def routes(self) -> list[web.RouteDef]:
        return self._floor.routes()

    async def run(self) -> None:
        while True:
            behind_ms = _wall_ms() - self._market.now_ms
            if behind_ms < STEP_MS:
                await asyncio.sleep((STEP_MS - behind_ms) / 1000)
                continue
            if behind_ms > _CATCH_UP_MS and self._market.leap(_wall_ms()):
                self._file.save_all()  # this process was stopped for a while, or the clock was set
            self._step()
            if self._market.position % _SAVE_EVERY == 0:
                self._file.save()
            await asyncio.sleep(0)

    def cut_clients(self) -> None:
        self._floor.cut_clients()

    def close(self) -> None:
        self._floor.account.close()
        self._file.close()


class ReplayExchange:
    """A recording sent to whoever subscribes."""

    def __init__(self, config: PracticeConfig) -> None:
        session = open_session(config.replay)
        days = config.shift_days if config.shift_days is not None else choose_shift(session, config.not_before_ns)
        view = ReplayView(session, days, config.speed, config.seed)
        self._floor = _Floor(config, view, config.data_dir / _FOLDER / "account-replay.jsonl")
        self._replay = Replay(
            session, view, self._floor.hub, self._floor.matching, config.speed, config.fast_until_ns
        )

    @property
    def faults(self) -> Faults:
        return self._floor.faults

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        return self._floor.beside()

    def routes(self) -> list[web.RouteDef]:
        return self._floor.routes()

    async def run(self) -> None:
        await self._replay.run()

    def cut_clients(self) -> None:
        self._floor.cut_clients()

    def close(self) -> None:
        self._floor.account.close()


def open_exchange(config: PracticeConfig) -> Exchange:
    """The kind of exchange the configuration asks for; raises `PracticeError`."""
    return ReplayExchange(config) if config.replay else SyntheticExchange(config)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
