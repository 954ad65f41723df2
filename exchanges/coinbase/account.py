"""What a Coinbase account holds."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from exchanges.answers import Answer, VenueError
from exchanges.coinbase.rest import CoinbaseRest
from market.money import ZERO, MoneyError, parse_decimal

ACCOUNTS_A_PAGE: Final = 250
MOST_PAGES: Final = 40


async def read_balances(name: str, rest: CoinbaseRest, on_answer: Callable[[Answer], None]) -> dict[str, Decimal]:
    """Available and held per asset, without the zeros; raises `VenueError`. `on_answer` sees every answer."""
    totals: dict[str, Decimal] = {}
    cursor = ""
    for _ in range(MOST_PAGES):
        wish: dict[str, str | int] = {"limit": ACCOUNTS_A_PAGE}
        answer = await rest.read("brokerage/accounts", wish | ({"cursor": cursor} if cursor else {}))
        on_answer(answer)
        if not answer.is_ok:
            raise VenueError(
                f"{name}: accounts: HTTP {answer.status} {answer.message}. Check the keys and their rights."
            )
        try:
            cursor = _add(answer.body, totals)
        except (KeyError, TypeError, AttributeError, MoneyError) as error:
            raise VenueError(
                f"{name}: accounts: not what Coinbase documents: {type(error).__name__} {error}"
            ) from error
        if not cursor:
            return {asset: total for asset, total in sorted(totals.items()) if total}
    raise VenueError(f"{name}: accounts: more than {MOST_PAGES} pages")


def _add(body: Any, totals: dict[str, Decimal]) -> str:
    """Add one page to the totals; returns the cursor of the next, "" after the last."""
    for row in body["accounts"]:
        asset = str(row["currency"])
        available = parse_decimal(row["available_balance"]["value"], "available_balance")
        hold = row.get("hold")  # an account that has never held anything may come without one
        held = parse_decimal(hold["value"], "hold") if hold is not None else ZERO
        totals[asset] = totals.get(asset, ZERO) + available + held
    return str(body.get("cursor") or "") if body.get("has_next") is True else ""
