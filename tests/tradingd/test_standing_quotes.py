"""Best prices that stand while trades move: the stream of one symbol's quotes can die on a line that lives."""

from pathlib import Path

from bus.messages.orders import OrderDenied
from market.ticks import QuoteTick, TradeTick
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import D, Scene
from tradingd.standing_quotes import StandingQuotes


class Watched:
    """Holds two of BTC at 100; ETH is quoted on."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder).open()
        self.watch = StandingQuotes(self.scene.runtime)
        self.scene.runtime.command(self.scene.order(quantity="2"), by="anna")
        self.scene.settle_venue()

    def second(self, *prints: str, quote: str = "") -> None:
        """A second of trades, after or without a quote around the price."""
        scene = self.scene
        scene.price(ETH, "10")
        now = scene.clock.now()
        if quote:
            scene.runtime.take(QuoteTick(BTC, D(quote) - D("0.01"), D(5), D(quote), D(5), now, now))
        for each in prints:
            scene.runtime.take(TradeTick(BTC, D(each), D(1), "sell", f"{now}-{each}", now, now))
        self.watch.on_second(now)
        scene.second()

    def fall(self, *, is_quoted: bool = False) -> None:
        for step in range(1, 11):
            price = str(100 - 2 * step)
            self.second(price, quote=price if is_quoted else "")

    @property
    def mark(self) -> object:
        return self.scene.runtime.engine.portfolio(self.scene.clock.now()).positions[0].mark

    def denied(self) -> list[str]:
        runtime = self.scene.runtime
        return [each.body.code for each in runtime.command(self.scene.order(), by="anna")
                if type(each.body) is OrderDenied]

    @property
    def problems(self) -> list[str]:
        return [each.text for each in self.scene.runtime.health.problems]


def test_what_is_held_is_marked_by_the_trades_and_no_entry_rests_on_the_quote(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.fall()
    assert watched.mark == 80
    assert watched.denied()
    assert any(f"best prices of {BTC} stand while trades move" in each for each in watched.problems)


def test_the_next_sound_quote_ends_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.fall()
    watched.second("80", quote="80")
    watched.second("80", quote="80")
    assert watched.denied() == []
    assert watched.problems == []


def test_quotes_that_follow_the_trades_and_a_trade_that_is_told_late_are_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.fall(is_quoted=True)
    watched.second("79", quote="80")
    for _ in range(10):
        watched.second()
    assert watched.denied() == []
    assert watched.problems == []
