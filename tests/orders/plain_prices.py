"""The prices in force without any quiet path: the guard is asked about every single print and quote."""

from decimal import Decimal

from market.ticks import QuoteTick, TradeTick
from orders.print_guard import Believed, PrintGuard


class PlainPrices:
    """What a plain loop believes."""

    def __init__(self, collar: Decimal) -> None:
        self.guard = PrintGuard(collar)
        self.last: Decimal | None = None
        self.bid: Decimal | None = None
        self.ask: Decimal | None = None
        self.quote_ts = 0

    def hear(self, item: TradeTick | QuoteTick) -> Believed:
        believed = (
            self.guard.judge_print(item, self) if isinstance(item, TradeTick) else self.guard.judge_quote(item, self)
        )
        for each in believed:
            self.take(each)
        return believed

    def take(self, item: TradeTick | QuoteTick) -> None:
        if isinstance(item, TradeTick):
            self.last = item.price
        else:
            self.bid, self.ask, self.quote_ts = item.bid, item.ask, item.ts_init
