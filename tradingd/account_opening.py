"""The account when the process starts. Paper: the configured capital, once. Live: what the venue says, differences as
events, and no entries until our books and the venue's were compared."""

import asyncio
from contextlib import suppress
from decimal import Decimal
from typing import Final

from bus.messages.ledger import FundsChanged
from bus.messages.system import AlertRaised, ReconciliationCompleted
from exchanges.answers import VenueError
from exchanges.venue import CountsQuestions, Venue
from market.interval import SECOND_NS
from market.money import ZERO, to_text
from tradingd.account_watch import query_working
from tradingd.balance_hints import is_any_on_its_way
from tradingd.redaction import redact
from tradingd.runtime import Runtime
from tradingd.settings_errors import ConfigError

ASK_AGAIN_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.5
MOST_LOOKS: Final = 60
"""Money that never rests is somebody else's trading: what is found then is believed, and corrected as it changes."""

PATIENCE_S: Final = 60
"""After so long without the venue's word on our orders a person is told; questions are waited for no longer."""

_ANSWERS_S: Final = 0.1
_NAMED: Final = 3


class AccountOpening:
    """`quote` is the currency of the account, in which all money here is counted."""

    def __init__(
        self, runtime: Runtime, venue: Venue, quote: str, *, look_again_s: float = LOOK_AGAIN_S,
        answers_within_s: float = PATIENCE_S,
    ) -> None:
        self._runtime = runtime
        self._venue = venue
        self._quote = quote
        self._look_again_s = look_again_s
        self._answers_within_s = answers_within_s
        self._comparing = asyncio.Lock()

    @property
    def is_new(self) -> bool:
        """Did this account never hold anything?"""
        return self._runtime.engine.ledger.funds_in == ZERO

    def give_capital(self, capital: Decimal) -> None:
        """Paper money, for an account that is new. Raises `ConfigError` when it is one of another currency."""
        if self.is_new:
            self._require_own_quote()
            self.change_funds(FundsChanged(self._quote, capital, capital, "initial paper capital"))

    def _require_own_quote(self) -> None:
        """Capital once more, in another currency, would be a loss of all there was to every limit."""
        others = [
            asset for account, asset, amount in self._runtime.engine.ledger.accounts()
            if account == "holdings" and amount and asset != self._quote
        ]
        if others:
            raise ConfigError(
                f"account.quote is {self._quote}, but this paper account is kept in another currency (it holds "
                f"{', '.join(others)}). Set it back (TRADINGD__ACCOUNT__QUOTE), or begin another account in another "
                "data_dir."
            )

    def forbid_entries(self) -> None:
        """Until `compare` has come to its end."""
        self._runtime.health.raise_condition("reconciliation", "our books are not yet compared with the venue's")

    async def compare(self) -> None:
        """What the venue has to say of our orders first: a difference it explains is no deposit.

        Raises `VenueError` for a new account whose balances the venue does not tell; of an old one it asks on.
        """
        async with self._comparing:
            await self._compare(keep_asking=not self.is_new)

    async def compare_again(self) -> None:
        """While trading, after the venue refused us for a while: no entries until the books agree."""
        self.forbid_entries()
        self._runtime.vote_health()
        async with self._comparing:
            await self._compare(keep_asking=True)

    async def _compare(self, *, keep_asking: bool) -> None:
        is_new = self.is_new
        known, theirs = await self._balances_at_rest(keep_asking=keep_asking)
        corrections: list[str] = []
        if theirs != known:
            reason = "initial balance at the venue" if is_new else "difference found at the venue"
            self.change_funds(FundsChanged(self._quote, theirs - known, theirs, reason))
            if not is_new:
                corrections.append(f"{self._quote}: ours {to_text(known)}, the venue's {to_text(theirs)}")
        self._runtime.record("daemon", ReconciliationCompleted(tuple(corrections)))
        self._runtime.health.clear("reconciliation")
        self._runtime.vote_health()

    def change_funds(self, fact: FundsChanged) -> None:
        """The fact is journalled first; the engine folds the same message."""
        self._runtime.take(self._runtime.record("daemon", fact))

    async def _balances_at_rest(self, *, keep_asking: bool) -> tuple[Decimal, Decimal]:
        """Our money and the venue's while no order is on its way between them.

        An exit is not held up by this comparison, and its proceeds look like a deposit until its report is here: a
        difference is believed when it is found twice, and the venue was asked about every working order in between.
        """
        ledger, seen = self._runtime.engine.ledger, ZERO
        looks = 0
        while True:
            looks += 1
            await self._wait_for_answers()
            known = ledger.cash
            theirs = (await self._ask_balances(keep_asking=keep_asking)).get(self._quote, ZERO)
            if ledger.cash != known or is_any_on_its_way(self._runtime):
                seen = ZERO
            elif theirs - known in (ZERO, seen) or self.is_new or looks >= MOST_LOOKS:
                return known, theirs
            else:
                seen = theirs - known
                query_working(self._runtime, self._venue)
                await self._wait_for_questions()
            await asyncio.sleep(self._look_again_s)

    async def _wait_for_questions(self) -> None:
        """Until each is answered: a slow venue tells its balances twice before it has told of one order.

        Not for ever: while its stream is away working orders are asked about anew before the last answer is there.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._answers_within_s):
                while isinstance(self._venue, CountsQuestions) and self._venue.questions:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(_ANSWERS_S)

    async def _ask_balances(self, *, keep_asking: bool) -> dict[str, Decimal]:
        """A venue that is away for a while must not end a daemon that watches over positions."""
        while True:
            try:
                return await self._venue.balances()
            except VenueError as error:
                if not keep_asking:
                    raise
                said = f"our books are not yet compared with the venue's: {error}"
                self._runtime.health.raise_condition("reconciliation", redact(said))
                self._runtime.vote_health()
                await asyncio.sleep(ASK_AGAIN_S)

    async def _wait_for_answers(self) -> None:
        """Until the venue has said what became of every order it may have: a stop may have sold meanwhile.

        There is no other end to it, for only the venue knows; but status names the orders and since when, and after
        `PATIENCE_S` a person is told once.
        """
        begin = self._runtime.clock.now()
        told, is_alerted = "", False
        while unanswered := self._unanswered():
            text = f"our books are not yet compared with the venue's: it has not said what became of {unanswered}"
            if text != told:
                told = text
                self._runtime.health.raise_condition("reconciliation", text)
                self._runtime.vote_health()
            if not is_alerted and self._runtime.clock.now() - begin >= PATIENCE_S * SECOND_NS:
                is_alerted = True
                self._runtime.record("daemon", AlertRaised(
                    "critical", "reconciliation is waiting",
                    f"For {PATIENCE_S} s the venue has not said what became of {unanswered}. It is asked on; until it "
                    "answers there are no entries, exits go on. Look at the venue's own pages.",
                ))
            await asyncio.sleep(_ANSWERS_S)

    def _unanswered(self) -> str:
        """The orders whose fate is not known, some of them by name; "" when all is."""
        engine = self._runtime.engine
        orders = [order for order in engine.orders.working() if order.is_at_venue]
        ids = [order.client_order_id for order in orders if order.detail == "unknown"]
        if not ids and engine.awaits_answers:
            ids = [order.client_order_id for order in orders]
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        if ids:
            return f"{', '.join(ids[:_NAMED])}{more}"
        return "orders it was asked about, which are over in our books by now" if engine.awaits_answers else ""
