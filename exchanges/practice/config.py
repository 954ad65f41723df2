"""What one practice exchange is asked to be, and where it can be reached."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from exchanges.practice.fault_script import Fault

DEFAULT_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT")


class PracticeError(Exception):
    """The exchange cannot start as asked. The text is one line: what, where, remedy."""


@dataclass(frozen=True, slots=True)
class PracticeConfig:
    """One start of the exchange.

    `data_dir`: its files go to `data_dir/practice`. `port` 0 picks a free one. `replay`: recordings to send
    instead of the synthetic market, in the order of their receive times. `speed`: of a replay, 1 = as recorded,
    0 = as fast as the client reads. `volatility`: of the synthetic market, 1 = lively. `not_before_ns`: the
    shifted recording does not begin before this (UTC ns). `shift_days`: it is moved by so many days (None: to
    the last seven days), and sent without waiting up to `fast_until_ns` (UTC ns, as moved). `capital`: of each quote
    currency, on the first start.
    `api_secrets`: (key, secret) pairs; when empty every key and signature is accepted. `faults`: what goes wrong,
    and when. `checks_coinbase_key`: the Coinbase door takes only the key of `data_dir/practice/coinbase-key.json`
    (made on the first start); otherwise any well-made token.
    """

    data_dir: Path
    seed: int = 7
    port: int = 0
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    replay: tuple[Path, ...] = ()
    speed: float = 1.0
    volatility: float = 1.0
    not_before_ns: int = 0
    shift_days: int | None = None
    fast_until_ns: int = 0
    capital: Decimal = Decimal(10_000)
    api_secrets: tuple[tuple[str, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    checks_coinbase_key: bool = False


@dataclass(frozen=True, slots=True)
class PracticeUrls:
    """Where the running exchange answers."""

    rest_url: str
    ws_url: str
    ws_api_url: str
    coinbase_ws_url: str = ""
    coinbase_ws_user_url: str = ""
