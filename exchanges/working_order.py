"""An order that may still change at the venue, as an order adapter remembers it."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bus.ids import TradeId
from bus.messages.orders import ExecutionReport
from market.interval import SECOND_NS
from market.money import ZERO

MOST_WORKING: Final = 10_000
"""So many are remembered; of more the engine alone knows."""
LATE_NS: Final = SECOND_NS // 10
TOLD_OF_S: Final = 25.0
"""An order that the venue itself told of is not believed to be absent for so long: listings lag behind streams."""
ENDS: Final = frozenset({"rejected", "cancelled", "expired", "not_found"})
"""The reports after which an order is over, beside its last fill."""


@dataclass(slots=True)
class WorkingOrder:
    """`sent_ns`: when it was sent, or adopted; `told_ns`: when the venue last said that it has it, 0 = never.

    `is_late`: it was sent, or sent again, some time after it was submitted, when the engine's patience began.
    `absent_ns`: when the venue first said that it has it not, after it had told of it; 0 = it has it.
    """

    symbol: str
    remaining: Decimal
    sent_ns: int
    filled: Decimal = ZERO
    told_ns: int = 0
    trade_ids: set[TradeId] = field(default_factory=set)
    is_late: bool = False
    absent_ns: int = 0

    def send_late(self, now_ns: int) -> None:
        """It is about to be sent, or sent again."""
        self.is_late = self.is_late or now_ns - self.sent_ns > LATE_NS
        self.sent_ns = now_ns

    def note(self, report: ExecutionReport, now_ns: int) -> None:
        """What is about to be told of it; a fill counts once."""
        if report.exec_type in ("accepted", "fill"):
            self.told_ns, self.absent_ns = now_ns, 0
        if report.exec_type == "fill" and report.trade_id not in self.trade_ids:
            self.trade_ids.add(report.trade_id)
            self.filled += report.quantity
            self.remaining -= report.quantity

    @property
    def is_filled(self) -> bool:
        return self.remaining <= ZERO

    def was_told_of(self, now_ns: int) -> bool:
        """Whether the venue told of it so shortly ago that its absence is not to be believed."""
        return now_ns - self.told_ns < TOLD_OF_S * SECOND_NS

    def is_absent(self, now_ns: int, for_s: float) -> bool:
        """The venue has it not: whether it said so for as long already, if it ever told of it. One copy may lag."""
        self.absent_ns = self.absent_ns or now_ns
        return not self.told_ns or now_ns - self.absent_ns >= for_s * SECOND_NS
