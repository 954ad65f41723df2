"""The daemon in live mode on a stranger."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.process import Process
from tests.strangers.binance import Binance
from tests.strangers.binance_streams import BinanceStreams
from tests.strangers.coinbase import Coinbase
from tests.strangers.coinbase_streams import CoinbaseStreams
from tests.strangers.market import Exchange, Market
from tests.strangers.serving import Served, serving

LIVE = {
    "TRADINGD__MODE": "live", "TRADINGD_ALLOW_LIVE": "yes", "TRADINGD__COUNCIL__THRESHOLD": "1",
    "TRADINGD__CANDLES__WARMUP": "30", "TRADINGD__RISK__PROTECTIONS__COOLDOWN_S": "0",
}
"""Live trading in which the council stays silent: only the test trades."""


_KEY = ec.generate_private_key(ec.SECP256R1())
Door = TypeVar("Door", Binance, Coinbase)
Streams = TypeVar("Streams", BinanceStreams, CoinbaseStreams)


@dataclass
class Running(Generic[Door, Streams]):
    """An exchange that runs, with the settings that lead to it."""

    exchange: Exchange
    door: Door
    streams: Streams
    served: Served
    env: dict[str, str]


StrangeBinance = Running[Binance, BinanceStreams]
StrangeCoinbase = Running[Coinbase, CoinbaseStreams]
Stranger = StrangeBinance | StrangeCoinbase


def binance_exchange() -> Exchange:
    """Three pairs with rules of three kinds, some funds, dust, and an order of somebody else's program."""
    return Exchange(
        [
            Market("SOL", "USDT", Decimal("0.01"), Decimal("0.001"), Decimal(150)),
            Market("DOGE", "USDT", Decimal("0.00001"), Decimal(1), Decimal("0.2"), size=Decimal(20_000)),
            Market("BTC", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal(83_000), size=Decimal(1)),
        ],
        {"USDT": Decimal(10_000), "BNB": Decimal(0), "LUNC": Decimal("0.00000012"), "ETH": Decimal(1)},
        Decimal("0.001"), "received",
    )


@contextmanager
def strange_binance(
    exchange: Exchange | None = None, port: int = 0, ws: str = "/stream", host: str = "127.0.0.1"
) -> Iterator[StrangeBinance]:
    """A Binance, and the environment of a daemon that trades there."""
    exchange = exchange or binance_exchange()
    door = Binance(exchange)
    streams = BinanceStreams(door)
    with serving([*door.routes(), *streams.routes()], streams.run, port, host) as served:
        prefix = "TRADINGD__VENUES__BINANCE__"
        env = {
            **LIVE, "TRADINGD__VENUE": "binance", "TRADINGD__SYMBOLS": "SOL/USDT,DOGE/USDT,BTC/USDT",
            prefix + "REST_URL": f"http://{served.address}", prefix + "WS_URL": f"ws://{served.address}{ws}",
            prefix + "WS_API_URL": f"ws://{served.address}/ws-api/v3", prefix + "API_KEY": door.key,
            prefix + "API_SECRET": door.secret,
        }
        yield Running(exchange, door, streams, served, env)


def coinbase_exchange() -> Exchange:
    """Three pairs in dollars, one of them in USDC, which shares its book with USD."""
    return Exchange(
        [
            Market("SOL", "USD", Decimal("0.01"), Decimal("0.00000001"), Decimal(150), minimum=Decimal(1)),
            Market("DOGE", "USD", Decimal("0.00001"), Decimal("0.1"), Decimal("0.2"), minimum=Decimal(1),
                   size=Decimal(20_000)),
            Market("BTC", "USD", Decimal("0.01"), Decimal("0.00000001"), Decimal(83_000), minimum=Decimal(1),
                   size=Decimal(1)),
        ],
        {"USD": Decimal(10_000), "USDC": Decimal(0), "ETH": Decimal(1), **{f"C{n:02d}": Decimal(0) for n in range(60)}},
        Decimal("0.006"), "quote",
    )


@contextmanager
def strange_coinbase(
    exchange: Exchange | None = None, port: int = 0, host: str = "127.0.0.1"
) -> Iterator[StrangeCoinbase]:
    """A Coinbase, and the environment of a daemon that trades there."""
    exchange = exchange or coinbase_exchange()
    pem = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    door = Coinbase(exchange, "organizations/a/apiKeys/b", _KEY.public_key())
    streams = CoinbaseStreams(door)
    with serving([*door.routes(), *streams.routes()], streams.run, port, host) as served:
        prefix = "TRADINGD__VENUES__COINBASE__"
        env = {
            **LIVE, "TRADINGD__VENUE": "coinbase", "TRADINGD__SYMBOLS": "SOL/USD,DOGE/USD,BTC/USD",
            "TRADINGD__ACCOUNT__QUOTE": "USD", prefix + "REST_URL": f"http://{served.address}",
            prefix + "WS_URL": f"ws://{served.address}", prefix + "WS_USER_URL": f"ws://{served.address}/user",
            prefix + "API_KEY": door.key_name, prefix + "API_SECRET": pem,
        }
        yield Running(exchange, door, streams, served, env)


@contextmanager
def running_there(stranger: Stranger, data_dir: Path, **more: str) -> Iterator[Process]:
    """A ready daemon that trades on the stranger for the length of the block."""
    with ExitStack() as stack:
        process = Process(data_dir, "--no-safe", env={**stranger.env, **more})
        stack.callback(process.kill)
        yield process.ready(90)


def cancel_all(stranger: Stranger) -> None:
    """Ends every order there; call it in the stranger's loop."""
    for order in stranger.exchange.orders:
        if order.is_working:
            stranger.exchange.cancel(order)
