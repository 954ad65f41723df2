"""What a Coinbase account holds."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from exchanges.answers import Answer, VenueError
from exchanges.coinbase.rest import CoinbaseRest
from exchanges.venue import AssetBalance
from market.money import ZERO, MoneyError, parse_decimal

ACCOUNTS_A_PAGE: Final = 250
MOST_PAGES: Final = 40
NOTHING: Final = AssetBalance(ZERO, ZERO)


async def read_balances(name: str, rest: CoinbaseRest, on_answer: Callable[[Answer], None]) -> dict[str, Decimal]:
    """Available and held per asset, without the zeros; raises `VenueError`. `on_answer` sees every answer."""
    found = await read_accounts(name, rest, on_answer)
    return {asset: total for asset, (free, held) in found.items() if (total := free + held)}


async def read_accounts(name: str, rest: CoinbaseRest, on_answer: Callable[[Answer], None]) -> dict[str, AssetBalance]:
    """As `read_balances`, but apart, and with the zeros."""
    found: dict[str, AssetBalance] = {}
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
            cursor = _add(answer.body, found)
        except (KeyError, TypeError, AttributeError, MoneyError) as error:
            raise VenueError(
                f"{name}: accounts: not what Coinbase documents: {type(error).__name__} {error}"
            ) from error
        if not cursor:
            return dict(sorted(found.items()))
    raise VenueError(f"{name}: accounts: more than {MOST_PAGES} pages")


def _add(body: Any, found: dict[str, AssetBalance]) -> str:
    """Add one page; returns the cursor of the next, "" after the last."""
    for row in body["accounts"]:
        asset = str(row["currency"])
        available = parse_decimal(row["available_balance"]["value"], "available_balance")
        hold = row.get("hold")  # an account that has never held anything may come without one
        held = parse_decimal(hold["value"], "hold") if hold is not None else ZERO
        before = found.get(asset, NOTHING)
        found[asset] = AssetBalance(before.free + available, before.locked + held)
    return str(body.get("cursor") or "") if body.get("has_next") is True else ""
