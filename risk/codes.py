"""Every reason for which we refuse, with its family and its meaning in one sentence.

Families are those people look up: E001 connection lost (reconnect), E002 insufficient funds (reduce the size),
E003 rate limit (wait), E004 invalid data (fall back), E005 an agent did not answer (skip the signal), E006 risk
limit (refused), E007 state corruption (restore).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

CONNECTION_LOST: Final = "E001"
INSUFFICIENT: Final = "E002"
RATE_LIMIT: Final = "E003"
INVALID_DATA: Final = "E004"
AGENT_TIMEOUT: Final = "E005"
RISK_LIMIT: Final = "E006"
STATE_CORRUPTION: Final = "E007"


@dataclass(frozen=True, slots=True)
class DenialCode:
    """A code, the family it belongs to, and what it means."""

    code: str
    family: str
    meaning: str


_ALL: Final[tuple[tuple[str, str, str], ...]] = (
    # permission
    ("NOT_FINITE", INVALID_DATA, "A number the decision rests on is not finite, so nothing about it can be trusted."),
    ("KILL_ENGAGED", RISK_LIMIT, "The kill switch is engaged; only a person releases it."),
    ("TRADING_HALTED", RISK_LIMIT, "Trading is halted: nothing may be sent."),
    ("TRADING_REDUCING", RISK_LIMIT, "Trading is reducing: only orders that lower exposure may be sent."),
    ("UNKNOWN_INSTRUMENT", INVALID_DATA, "The symbol is not one the venue told us about."),
    ("INSTRUMENT_NOT_TRADING", RISK_LIMIT, "The venue does not trade this symbol: it is halted, or no longer listed."),
    ("SYMBOL_HALTED", RISK_LIMIT, "New risk on this one symbol was stopped after repeated faults."),
    ("UNKNOWN_PENDING", CONNECTION_LOST, "An order of unknown outcome blocks new risk on its symbol."),
    ("SYMBOL_LOCKED", RISK_LIMIT, "A protection has locked entries on this symbol for a while."),
    ("ALL_LOCKED", RISK_LIMIT, "A protection has locked entries on every symbol for a while."),
    # market data
    ("FEED_SILENT", CONNECTION_LOST, "Market data was never heard, so there is nothing to decide on."),
    ("STALE_DATA", CONNECTION_LOST, "Market data is too old to open or enlarge a position."),
    ("PRICE_UNKNOWN", CONNECTION_LOST, "No market price is known to judge the order by."),
    ("CROSSED_BOOK", INVALID_DATA, "The best bid is not below the best ask, so the prices cannot be trusted."),
    # the order itself
    ("BUY_NOT_REDUCING", RISK_LIMIT, "A buy cannot be reduce-only: positions are long only."),
    ("SELL_NOT_REDUCE_ONLY", RISK_LIMIT, "A sell must be reduce-only: positions are long only."),
    ("QUANTITY_NOT_POSITIVE", RISK_LIMIT, "The quantity is zero or negative."),
    ("QUANTITY_OFF_STEP", RISK_LIMIT, "The quantity is no multiple of the venue's step."),
    ("QUANTITY_TOO_SMALL", RISK_LIMIT, "The quantity is below the venue's smallest."),
    ("QUANTITY_TOO_LARGE", RISK_LIMIT, "The quantity is above the venue's largest."),
    ("POSITION_IS_DUST", RISK_LIMIT, "What is left of the position is too small for the venue to sell."),
    ("PRICE_MISSING", RISK_LIMIT, "A limit order has no price."),
    ("PRICE_UNEXPECTED", RISK_LIMIT, "A market order carries a price."),
    ("PRICE_NOT_POSITIVE", RISK_LIMIT, "The price is zero or negative."),
    ("PRICE_OFF_TICK", RISK_LIMIT, "The price is no multiple of the venue's tick."),
    ("STOP_PRICE_INVALID", RISK_LIMIT, "A stop that is to rest at the venue has no stop price, or one that cannot be."),
    ("STOP_THROUGH_MARKET", RISK_LIMIT, "The stop lies at or above the market: it would sell at once."),
    ("PRICE_COLLAR", RISK_LIMIT, "The price is too far from the market to be meant."),
    ("BELOW_VENUE_MIN_NOTIONAL", RISK_LIMIT, "The order is worth less than the venue accepts."),
    ("BELOW_MIN_NOTIONAL", RISK_LIMIT, "The order is worth less than our minimum."),
    ("NOTHING_TO_SELL", RISK_LIMIT, "Nothing of the symbol is held and free to be sold."),
    ("EXCEEDS_POSITION", RISK_LIMIT, "A reduce-only order is larger than what is held and free to be sold."),
    # pace and repetition
    ("DUPLICATE_ORDER", RISK_LIMIT, "An order of the same content was sent moments ago."),
    ("RATE_PER_SECOND", RATE_LIMIT, "Too many orders within a second."),
    ("RATE_PER_MINUTE", RATE_LIMIT, "Too many orders within a minute."),
    ("NOTIONAL_PER_MINUTE", RATE_LIMIT, "Entries within a minute would be worth too large a share of equity."),
    # the council
    ("NO_VERDICT", AGENT_TIMEOUT, "The risk officer has not approved this proposal."),
    ("VERDICT_MISMATCH", RISK_LIMIT, "The order is another one than the risk officer approved."),
    ("EXCEEDS_VERDICT", RISK_LIMIT, "The order is larger than the risk officer approved."),
    # capital
    ("NO_EQUITY", STATE_CORRUPTION, "The account has no equity that a limit could be a share of."),
    ("MAX_ORDER_NOTIONAL", RISK_LIMIT, "One order is too large a share of equity."),
    ("INSUFFICIENT_FUNDS", INSUFFICIENT, "There is not enough free cash for the order and its worst-case costs."),
    ("EXPOSURE_PER_ASSET", RISK_LIMIT, "One asset would be too large a share of equity."),
    ("EXPOSURE_TOTAL", RISK_LIMIT, "All assets together would be too large a share of equity."),
    ("MAX_POSITIONS", RISK_LIMIT, "As many positions as allowed are open or pending already."),
    ("DAILY_DRAWDOWN", RISK_LIMIT, "Equity fell too far from the day's peak."),
    ("WEEKLY_DRAWDOWN", RISK_LIMIT, "Equity fell too far from the week's peak."),
    ("MAX_DRAWDOWN", RISK_LIMIT, "Equity fell too far from its highest ever."),
    ("DAILY_LOSS", RISK_LIMIT, "Too much was lost since the day began."),
    ("RUNAWAY_LOSS", RISK_LIMIT, "Too much was lost within a minute."),
    ("CAPITAL_LOSS", RISK_LIMIT, "Too much of the initial capital is lost."),
    # verdicts on proposals
    ("MANDATE_RISK_OFF", RISK_LIMIT, "The CEO's mandate wants no new risk."),
    ("STOP_MISSING", RISK_LIMIT, "An entry was proposed without a protective stop."),
    ("CONFIDENCE_INVALID", INVALID_DATA, "The confidence of a proposal is not between 0 and 1."),
    ("PORTFOLIO_STALE", AGENT_TIMEOUT, "The portfolio the verdict would rest on is too old."),
    # commands to the engine
    ("UNKNOWN_ORDER", RISK_LIMIT, "No working order has this client id."),
    ("UNKNOWN_LOCK", RISK_LIMIT, "No lock that still holds has this id."),
    ("BLACKOUT", RISK_LIMIT, "The configuration allows no entries at this time."),
    ("DAY_ENDING", RISK_LIMIT, "The trading day is about to end, and what is held then is closed."),
    ("INVALID_ORDER", RISK_LIMIT, "The order does not say what it must: a price, a trigger or a trail is missing."),
    # grids
    ("GRID_EXISTS", RISK_LIMIT, "The symbol has a grid already."),
    ("GRID_HOLDS", RISK_LIMIT, "What is held of the symbol belongs to its grid, which sells it itself."),
    ("GRID_TOO_LARGE", RISK_LIMIT, "The limits on exposure leave no room for a single level of the grid."),
    ("GRID_TOO_SMALL", RISK_LIMIT, "The grid's capital is too little for its number of levels."),
    ("INVALID_GRID", RISK_LIMIT, "A value of the grid makes no sense, or does not fit the others."),
    ("UNKNOWN_GRID", RISK_LIMIT, "No grid has this id."),
)

DENIAL_CODES: Final[Mapping[str, DenialCode]] = MappingProxyType(
    {code: DenialCode(code, family, meaning) for code, family, meaning in _ALL}
)
"""By code. A code that is not here is never emitted."""
