"""The same tape through the whole runtime (journal, gate, paper venue, ledger) and through a plain loop: same fills."""

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId
from bus.messages.orders import OrderFilled, SubmitOrder, TrailSpec
from market.ticks import QuoteTick, TradeTick
from tests.orders.plain_engine import PlainEngine
from tests.orders.trading import BTC
from tests.tradingd.live_runtime import MILLISECOND, Scene
from tradingd.settings import PaperSettings

D = Decimal
CENT = D("0.01")
LATENCY_MS = 20
Row = tuple[str, str, Decimal, Decimal]
Tape = list[QuoteTick | TradeTick | SubmitOrder]


def fills_of_the_runtime(folder: Path, tape: Tape) -> list[Row]:
    scene = Scene(folder, capital="1000000").open()
    assert scene.settings.paper == PaperSettings(use_book=False)
    for item in tape:
        if isinstance(item, SubmitOrder):
            scene.runtime.take(scene.runtime.make("tester", item))
            continue
        scene.clock.advance(item.ts_init)
        scene.runtime.take(item)
    scene.settle_venue()
    return [
        (fill.client_order_id, fill.side, fill.quantity, fill.price) for fill in scene.told(OrderFilled)
    ]


def fills_of_a_plain_loop(tape: Tape, begin: tuple[QuoteTick, TradeTick]) -> list[Row]:
    """A sent order arrives after the latency and meets the quote then in force, 0.1 % worse, on the tick against us."""
    plain, rows = PlainEngine(D("0.05"), CENT), []
    on_the_way: list[tuple[int, str, str, Decimal]] = []
    specs: dict[str, SubmitOrder] = {}
    quote = begin[0]
    for each in begin:
        plain.hear(each, each.ts_init)
    now = begin[1].ts_init
    for item in tape:
        if isinstance(item, SubmitOrder):
            specs[item.client_order_id] = item
            if item.order_type == "market":
                on_the_way.append((now, item.client_order_id, item.side, item.quantity))
            else:
                plain.submit(item, now)
            continue
        now = item.ts_init
        while on_the_way and on_the_way[0][0] + LATENCY_MS * MILLISECOND <= now:
            rows.append(met(quote, *on_the_way.pop(0)[1:]))
        if isinstance(item, QuoteTick):
            quote = item
        plain.hear(item, now)
        for told in plain.told:
            spec = specs[str(told[1])]
            on_the_way.append((now, spec.client_order_id, spec.side, spec.quantity))
        plain.told.clear()
    return rows + [met(quote, *left[1:]) for left in on_the_way]


def met(quote: QuoteTick, name: str, side: str, quantity: Decimal) -> Row:
    worse = quote.ask * D("1.001") if side == "buy" else quote.bid * D("0.999")
    ticks = (worse / CENT).to_integral_value("ROUND_CEILING" if side == "buy" else "ROUND_FLOOR")
    return name, side, quantity, ticks * CENT


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_tape_gives_the_same_fills_live_and_in_a_plain_loop(tmp_path: Path, seed: int) -> None:
    chance, scene = random.Random(seed), Scene(tmp_path / "first", capital="1000000")
    now = scene.clock.now() + MILLISECOND  # as `open` gives the first prices
    begin = (
        QuoteTick(BTC, D("99.99"), D(50), D(100), D(50), now, now),
        TradeTick(BTC, D(100), D(1), "buy", "1", now, now),
    )
    price, made = D(100), 0
    tape: Tape = []
    now += 1_000 * MILLISECOND
    stock = scene.order(quantity="400")
    tape.append(stock)
    for number in range(4_000):
        now += chance.randint(1, 400) * MILLISECOND
        price = min(max(price + chance.randint(-12, 12) * CENT, D(60)), D(160))
        half = chance.randint(1, 4) * CENT
        tape.append(QuoteTick(BTC, price - half, D(50), price + half, D(50), now, now))
        now += chance.randint(1, 30) * MILLISECOND
        lone = chance.random() < 0.005
        tape.append(TradeTick(BTC, price * D("0.9") if lone else price, D(1), "sell", f"t{number}", now, now))
        if number > 5 and chance.random() < 0.05 and made < 150:
            made += 1
            tape.append(_held(chance, price, made))
    live = fills_of_the_runtime(tmp_path / "live", tape)
    plain = fills_of_a_plain_loop(tape, begin)
    assert live == plain
    assert len(live) > 40


def _held(chance: random.Random, price: Decimal, number: int) -> SubmitOrder:
    """As the engine arms them itself: the caps on orders per second are for people and the council."""
    base = SubmitOrder(
        ClientOrderId(f"td-h{number}"), BTC, "sell", "trailing", D("0.5"), "protective", reduce_only=True,
    )
    base = replace(base, quantity=D("0.5") + number * D("0.0001"))  # no two alike: the gate would call that a mistake
    roll = chance.random()
    if roll < 0.2:
        return replace(base, order_type="stop", stop_price=price - chance.randint(5, 200) * CENT)
    ratio = D(chance.randint(2, 20)) / 1000
    source = chance.choice(("last", "mid", "bid_ask"))
    activation = price + chance.randint(5, 100) * CENT if chance.random() < 0.3 else None
    trail = TrailSpec(
        "percent", ratio, price_source=source, activation_price=activation,  # type: ignore[arg-type]
        break_even_ratio=D("0.01") if chance.random() < 0.3 else None,
    )
    return replace(base, trail=trail)
