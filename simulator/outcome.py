"""What one seed came to."""

from dataclasses import dataclass, field
from decimal import Decimal

from market.money import ZERO


@dataclass(slots=True)
class Outcome:
    """What one seed came to. Zero is the only good number for most of it."""

    seed: int
    orders: int = 0
    made_ready: int = 0
    """Orders that had been made ready and left ahead of the engine's own step."""
    fills: int = 0
    faults: int = 0
    faults_in_vain: int = 0
    """Of these such as befell nobody: no process lived, nothing was held, no moment of the kind came."""
    early_answers: int = 0
    deaths: int = 0
    duplicates: int = 0
    orphans: int = 0
    unprotected_s_max: float = 0.0
    position_error: Decimal = ZERO
    cash_error: Decimal = ZERO
    limit_breaches: int = 0
    orders_after_kill: int = 0
    stale_entries: int = 0
    stale_s: float = 0.0
    """Greatest age of the market data while entries were allowed."""
    recoveries_s: list[float] = field(default_factory=list)
    reconciled_s: list[float] = field(default_factory=list)
    """Virtual seconds from each start to books that were compared with the exchange's."""
    active_s: list[float] = field(default_factory=list)
    """And to entries being allowed."""
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
