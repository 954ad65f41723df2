from dataclasses import replace

import pytest

from exchanges.listed_symbols import LONGEST_REFUSAL_S, ListedSymbols
from tests.exchanges.coinbase.watching import BTC, ETH

BTC_USDC = replace(BTC, symbol="BTC/USDC", venue_symbol="BTC-USDC")


def symbols(listed: ListedSymbols, now: float = 0.0) -> list[str]:
    return [each.symbol for each in listed.left(now)]


def test_what_is_delisted_is_left_out_until_it_is_listed_again() -> None:
    listed = ListedSymbols([BTC, ETH])
    listed.leave_out({"ETH/USD"})
    assert symbols(listed) == ["BTC/USD"]
    listed.leave_out(set())
    assert symbols(listed) == ["BTC/USD", "ETH/USD"]


def test_something_is_always_left_for_to_name_nothing_would_ask_for_everything() -> None:
    listed = ListedSymbols([BTC, ETH])
    listed.leave_out({"ETH/USD", "BTC/USD"})
    assert symbols(listed) == ["BTC/USD", "ETH/USD"]
    listed.leave_out({"ETH/USD"})
    assert listed.refuse("BTC-USD is not a valid product", 0.0) == []
    assert symbols(listed) == ["BTC/USD"]


@pytest.mark.parametrize(("words", "named"), [
    ("Failed to subscribe ETH-USD is not a valid product", ["ETH/USD"]),
    ("eth-usd, BTC-USDC: delisted", ["ETH/USD", "BTC/USDC"]),
    ("BTC-USDC is not a valid product", ["BTC/USDC"]),
    ("WETH-USD is not a valid product", []),
    ("rate limit exceeded", []),
])
def test_only_the_symbols_that_the_words_name_are_refused(words: str, named: list[str]) -> None:
    listed = ListedSymbols([BTC, ETH, BTC_USDC])
    assert listed.refuse(words, 0.0) == named
    assert symbols(listed) == [each for each in ("BTC/USD", "ETH/USD", "BTC/USDC") if each not in named]


def test_what_was_refused_is_tried_again_ever_more_rarely_until_the_venue_tells_of_it() -> None:
    listed = ListedSymbols([BTC, ETH])
    now, pauses = 0.0, []
    for _ in range(8):
        assert listed.refuse("ETH-USD is not a valid product", now) == ["ETH/USD"]
        assert listed.refuse("ETH-USD is not a valid product", now) == ["ETH/USD"]  # of another channel
        began = now
        while symbols(listed, now) == ["BTC/USD"]:
            now += 60.0
        pauses.append(now - began)
    assert pauses == [60.0, 120.0, 240.0, 480.0, 960.0, *[LONGEST_REFUSAL_S] * 3]
    listed.welcome("ETH/USD")
    listed.refuse("ETH-USD is not a valid product", now)
    assert symbols(listed, now + 60.0) == ["BTC/USD", "ETH/USD"]


def test_what_is_listed_again_is_tried_at_once_although_it_was_refused() -> None:
    listed = ListedSymbols([BTC, ETH])
    listed.refuse("ETH-USD is not a valid product", 0.0)
    listed.leave_out({"ETH/USD"})
    listed.leave_out(set())
    assert symbols(listed) == ["BTC/USD", "ETH/USD"]
