"""A live venue at the Coinbase of the tests."""

from decimal import Decimal
from typing import Any

from bus.clock import LiveClock
from bus.messages.orders import ExecutionReport
from exchanges.coinbase.orders import CoinbaseConfig, CoinbaseVenue
from market.instrument import Instrument
from tests.exchanges.approvals import approved_order
from tests.exchanges.coinbase.exchange import KEY_NAME, PEM, Exchange, until

D = Decimal
BTC = Instrument("BTC/USD", "BTC-USD", "BTC", "USD", D("0.01"), D("0.00000001"), D("0.00000001"), D(3400), D(1))


class Desk:
    """A live venue against the exchange of the test, and the reports it gave."""

    def __init__(self, server: Exchange, **options: Any) -> None:
        self.server = server
        self.reports: list[ExecutionReport] = []
        self.problems: list[str] = []
        self.refusals: list[str] = []
        config = CoinbaseConfig(
            "coinbase", server.rest_url, server.ws_user_url if options.pop("ws", False) else "",
            options.pop("api_key", KEY_NAME), options.pop("api_secret", PEM), options.pop("order_timeout_s", 2.0),
            options.pop("allow_withdrawals", False),
        )
        self.venue = CoinbaseVenue(
            config, self.reports.append, LiveClock(), [BTC], jitter=lambda: 0.5, on_problem=self.problems.append,
            on_refused=self.refusals.append,
            **{"absence_s": 0.02, **options},
        )

    async def __aenter__(self) -> "Desk":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.venue.close()

    def submit(self, **order: Any) -> None:
        self.venue.submit(approved_order(**{"symbol": "BTC/USD", **order}))

    async def rests(self) -> None:
        """Started, the user channel there, and the limit order td-1 accepted."""
        await self.venue.start()
        await until(lambda: self.venue.stream.is_up)
        self.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in self.kinds)

    async def heard(self, *kinds: str) -> None:
        await until(lambda: self.kinds == list(kinds) or len(self.kinds) > len(kinds))
        assert self.kinds == list(kinds)

    @property
    def kinds(self) -> list[str]:
        return [report.exec_type for report in self.reports]

    @property
    def posts(self) -> list[Any]:
        return [body for _, body in self.server.calls("POST", "/orders")]

    def fills(self) -> dict[str, Decimal]:
        return {each.trade_id: each.quantity for each in self.reports if each.exec_type == "fill"}


def late(name: str) -> dict[str, Any]:
    return {"client_order_id": name, "product_id": "BTC-USD", "side": "BUY",
            "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "99"}}}
