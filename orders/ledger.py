"""The books: every execution is a transaction of postings that sum to zero per asset.

Accounts: "holdings" (what is ours), "market" (what was exchanged), "fees" (what was paid), "funds" (what
was brought in or taken out). Balances, positions at average cost, realised profit and fees are folds over
the postings; nothing else writes them. All amounts exact Decimals, booked and summed without rounding: the 28
digits that Decimal has by itself are too few for a price of 14 decimals times a quantity of 8 and its fee.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, Literal, NamedTuple

from market.money import EXACT, ZERO
from market.record import fast_init

Account = Literal["holdings", "market", "fees", "funds"]

COST_STEP: Final = Decimal("1e-12")
"""A part of a position's cost is rounded to this; the rest of the cost keeps the remainder, so none is lost."""


class LedgerError(RuntimeError):
    """The books do not balance: a defect. Whoever sees it must stop trading."""


class Posting(NamedTuple):
    """`amount` of `asset` into the account (negative: out of it)."""

    account: Account
    asset: str
    amount: Decimal


@dataclass(slots=True)
class Position:
    """What is held of one symbol. `cost` in quote, fees apart; negative quantity only after an overfill.

    The round-trip fields count from the last time the position was flat.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    opened_ns: int = 0
    trip_pnl: Decimal = ZERO
    trip_fees: Decimal = ZERO
    bought_quantity: Decimal = ZERO
    bought_value: Decimal = ZERO
    sold_quantity: Decimal = ZERO
    sold_value: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        return self.cost / self.quantity if self.quantity else ZERO

    @property
    def entry_price(self) -> Decimal:
        """Average of the round trip's purchases."""
        return self.bought_value / self.bought_quantity if self.bought_quantity else ZERO

    @property
    def exit_price(self) -> Decimal:
        """Average of the round trip's sales."""
        return self.sold_value / self.sold_quantity if self.sold_quantity else ZERO


@fast_init
@dataclass(frozen=True, slots=True)
class Booking:
    """What one execution did: profit of this execution after fees (quote), and its fees in quote."""

    realized_pnl: Decimal
    fee_in_quote: Decimal


class Ledger:
    """Double-entry books of one account, profit counted in `quote`.

    A fee in a third asset lessens our position in that asset where there is one (at its average cost);
    otherwise it is counted in `fees_by_asset` alone. No fee makes a position negative: what is ours cannot pay is
    paid by coins that are not, and they count for nothing here.
    """

    def __init__(self, quote: str) -> None:
        self.quote = quote
        self._cash: tuple[Account, str] = ("holdings", quote)
        self._accounts: dict[tuple[Account, str], Decimal] = {}
        self.positions: dict[str, Position] = {}
        self.realized_pnl = ZERO
        self.fees_by_asset: dict[str, Decimal] = {}
        self.fees = ZERO
        self.funds_in = ZERO

    def balance(self, asset: str) -> Decimal:
        """How much of it is ours."""
        return self._accounts.get(("holdings", asset), ZERO)

    @property
    def cash(self) -> Decimal:
        """Quote currency held."""
        return self._accounts.get(self._cash, ZERO)

    @property
    def cost(self) -> Decimal:
        """What the positions cost, in quote."""
        with localcontext(EXACT):
            return sum((position.cost for position in self.positions.values()), ZERO)

    def account(self, account: Account, asset: str) -> Decimal:
        return self._accounts.get((account, asset), ZERO)

    def accounts(self) -> tuple[tuple[Account, str, Decimal], ...]:
        """Every account's balance, sorted."""
        return tuple((*key, amount) for key, amount in sorted(self._accounts.items()))

    def position(self, symbol: str) -> Position | None:
        return self.positions.get(symbol)

    def quantity(self, symbol: str) -> Decimal:
        """Base held of this symbol (0 when none)."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def change_funds(self, asset: str, delta: Decimal, symbol: str = "") -> None:
        """Money came or went that is no profit. A change of a base asset (`symbol`) keeps the average cost."""
        with localcontext(EXACT):
            self._change_funds(asset, delta, symbol)

    def _change_funds(self, asset: str, delta: Decimal, symbol: str) -> None:
        self._book((Posting("holdings", asset, delta), Posting("funds", asset, -delta)))
        if asset == self.quote:
            self.funds_in += delta
        elif symbol:
            position = self.positions.setdefault(symbol, Position(symbol))
            if delta < ZERO:  # fees that coins beside ours have paid are in the balance, not in the position
                delta = min(delta, max(self.balance(asset), ZERO) - position.quantity)
            cost = _step(position.average_price * delta)
            if position.quantity + delta == ZERO:
                cost = -position.cost
            position.quantity += delta
            position.cost += cost
            self.funds_in += cost
            if not position.quantity:
                self.end_round_trip(symbol)

    def book_fill(
        self, symbol: str, base: str, side: str, quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str,
        ts: int,
    ) -> Booking:
        """One execution. A fee in base lessens what is held; in a third asset it is counted there only."""
        with localcontext(EXACT):
            sign = 1 if side == "buy" else -1
            value = quantity * price
            postings = [
                Posting("holdings", base, sign * quantity), Posting("market", base, -sign * quantity),
                Posting("holdings", self.quote, -sign * value), Posting("market", self.quote, sign * value),
            ]
            if fee:
                postings += [Posting("holdings", fee_asset, -fee), Posting("fees", fee_asset, fee)]
            self._book(postings)
            return self._fold_position(symbol, base, sign * quantity, price, fee, fee_asset, ts)

    def _fold_position(
        self, symbol: str, base: str, change: Decimal, price: Decimal, fee: Decimal, fee_asset: str, ts: int,
    ) -> Booking:
        position = self.positions.setdefault(symbol, Position(symbol))
        profit = self._move(position, change, price)
        fee_in_quote = fee if fee_asset == self.quote else ZERO
        profit -= fee_in_quote
        if fee and fee_asset == base:
            fee_in_quote = fee * price
            profit += self._move(position, -_ours(fee, position), ZERO)
        elif fee and (paid_from := self.positions.get(f"{fee_asset}/{self.quote}")):
            loss = -self._move(paid_from, -_ours(fee, paid_from), ZERO)
            fee_in_quote = loss
            profit -= loss
        if not position.opened_ns:
            position.opened_ns = ts
        if change > ZERO:
            position.bought_quantity += change
            position.bought_value += change * price
        else:
            position.sold_quantity -= change
            position.sold_value -= change * price
        position.trip_pnl += profit
        position.trip_fees += fee_in_quote
        self.realized_pnl += profit
        self.fees += fee_in_quote
        if fee:
            self.fees_by_asset[fee_asset] = self.fees_by_asset.get(fee_asset, ZERO) + fee
        return Booking(profit, fee_in_quote)

    @staticmethod
    def _move(position: Position, change: Decimal, price: Decimal) -> Decimal:
        """Add to or take from the position at `price`; returns the profit of what was taken."""
        held = position.quantity
        if held * change >= ZERO:
            position.quantity += change
            position.cost += change * price
            return ZERO
        closing = change if abs(change) < abs(held) else -held
        freed = position.cost if closing == -held else _step(position.cost * -closing / held)
        position.quantity += closing
        position.cost -= freed
        profit = -closing * price - freed
        beyond = change - closing
        position.quantity += beyond
        position.cost += beyond * price
        return profit

    def end_round_trip(self, symbol: str) -> None:
        """The position counts as flat: the next execution begins a new round trip."""
        position = self.positions.get(symbol)
        if position is None:
            return  # what was held went by hand, to the last coin
        position.opened_ns = 0
        position.trip_pnl = position.trip_fees = ZERO
        position.bought_quantity = position.bought_value = position.sold_quantity = position.sold_value = ZERO
        if not position.quantity and not position.cost:
            del self.positions[symbol]

    def _book(self, postings: Sequence[Posting]) -> None:
        sums: dict[str, Decimal] = {}
        for posting in postings:
            sums[posting.asset] = sums.get(posting.asset, ZERO) + posting.amount
        if any(sums.values()):
            raise LedgerError(f"a transaction does not balance: {postings}")
        for posting in postings:
            key = (posting.account, posting.asset)
            self._accounts[key] = self._accounts.get(key, ZERO) + posting.amount

    def check(self) -> None:
        """Recompute what must hold of the whole; raises `LedgerError`.

        Each asset sums to zero over its accounts, and cash + positions at cost = funds + realised profit.
        """
        with localcontext(EXACT):
            self._check()

    def _check(self) -> None:
        sums: dict[str, Decimal] = {}
        for (_, asset), amount in self._accounts.items():
            sums[asset] = sums.get(asset, ZERO) + amount
        if any(sums.values()):
            raise LedgerError(f"the accounts do not sum to zero: {sums}")
        cost = self.cost
        if self.cash + cost != self.funds_in + self.realized_pnl:
            raise LedgerError(
                f"cash {self.cash} + positions at cost {cost} is not funds {self.funds_in} + profit {self.realized_pnl}"
            )


def _ours(fee: Decimal, paid_from: Position) -> Decimal:
    """As much of a fee as the position can pay: the rest was taken from what the account holds beside it."""
    return min(fee, max(paid_from.quantity, ZERO))


def _step(amount: Decimal) -> Decimal:
    return amount.quantize(COST_STEP, ROUND_HALF_EVEN)
