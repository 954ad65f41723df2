"""Recorded Binance frames for tests."""

import gzip
import re
from collections.abc import Iterator

from tests.shared_data import shared_file

FILES = (
    "ws1.tsv.gz", "ws_spot_btcusdt_20240808.tsv.gz", "ws_spot_btcusdt_20240809.tsv.gz",
    "ws_spot_ethusdt_20240808.tsv.gz",
)


def lines(name: str) -> Iterator[tuple[int, str, str]]:
    """(receive time ns, direction, text) of one recording; skips the test where there is none."""
    with gzip.open(shared_file(f"messages/binance/{name}"), "rt") as file:
        for line in file:
            received, direction, text = line.rstrip("\n").split("\t", 2)
            yield int(received), direction, text


def frames(name: str) -> list[tuple[int, str]]:
    """(receive time ns, frame) of everything that came in over the websocket."""
    return [(received, text) for received, direction, text in lines(name) if direction == "<"]


def symbols_in(texts: list[tuple[int, str]]) -> dict[str, str]:
    """A symbol table that maps every wire name to itself."""
    names = {match[1] for _, text in texts if (match := re.search(r'"s":"([A-Z0-9]+)"', text))}
    return {name: name for name in sorted(names)}
