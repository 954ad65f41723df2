"""An entry that takes another's place is judged without that other: else it would be lowered by what it ends."""

from dataclasses import replace

from bus.messages.ledger import PortfolioSnapshot
from market.instrument import Instrument
from market.money import ONE


def without_replaced(portfolio: PortfolioSnapshot, instrument: Instrument) -> PortfolioSnapshot:
    """The account as it is once the council's working entry of this instrument has ended; the same when it has none.

    The gate leaves that entry out as well (`orders.account.exposure`): it sets aside the entry's value and taker fee.
    """
    symbol = instrument.symbol
    replaced = next((entry for entry in portfolio.replaceable if entry[0] == symbol), None)
    if replaced is None or replaced not in portfolio.working_entries:
        return portfolio
    place, value = portfolio.working_entries.index(replaced), replaced[1]
    return replace(
        portfolio, available=portfolio.available + value * (ONE + instrument.taker_fee),
        exposure=portfolio.exposure - value,
        working_entries=portfolio.working_entries[:place] + portfolio.working_entries[place + 1:],
    )
