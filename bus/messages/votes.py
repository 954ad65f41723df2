"""What one model said, and how it counted: carried by proposals and by the orders that come of them."""

from dataclasses import dataclass
from typing import Literal

from market.record import fast_init

Action = Literal["trail_buy", "trail_sell", "hold"]


@fast_init
@dataclass(frozen=True, slots=True)
class Vote:
    """How one alpha counted in a consensus. `is_strategy`: it is the wish of the strategy of that name in the library,
    which may be called as an alpha is, and is none.
    """

    alpha: str
    action: Action
    confidence: float
    weight: float
    is_strategy: bool = False
