"""What an API key may do. A key that can move money out of the account is refused for live trading."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from exchanges.answers import VenueError
from exchanges.binance.rest import RestClient
from exchanges.coinbase.rest import CoinbaseRest

_BINANCE_TRADES: Final = "enableSpotAndMarginTrading"
_BINANCE_MOVES: Final = ("enableInternalTransfer", "permitsUniversalTransfer")


@dataclass(frozen=True, slots=True)
class KeyRights:
    """`can_move_inside`: transfers among accounts of the same owner, which leave nothing for a thief."""

    can_read: bool
    can_trade: bool
    can_withdraw: bool
    can_move_inside: bool = False


def parse_coinbase_rights(body: object) -> KeyRights:
    """`key_permissions` of Coinbase. Raises `ValueError` when it does not tell plainly whether money can leave.

    Rights to read and trade that are not mentioned are found out by reading and trading.
    """
    withdraws = _flag(body, "can_transfer")
    return KeyRights(_flag(body, "can_view", True), _flag(body, "can_trade", True), withdraws)


def parse_binance_rights(body: object) -> KeyRights:
    """`apiRestrictions` of Binance, likewise. Raises `ValueError`."""
    withdraws = _flag(body, "enableWithdrawals")
    moves = any(_flag(body, key, False) for key in _BINANCE_MOVES)
    return KeyRights(_flag(body, "enableReading", True), _flag(body, _BINANCE_TRADES, True), withdraws, moves)


async def ask_coinbase_rights(rest: CoinbaseRest) -> KeyRights | None:
    """The rights of the client's key; None where the server has no such question (404). Raises `VenueError`."""
    return _read(await rest.read("brokerage/key_permissions"), "key_permissions", parse_coinbase_rights)


async def ask_binance_rights(rest: RestClient) -> KeyRights | None:
    """The rights of the client's key; None where the server has no such question (404). Raises `VenueError`."""
    answer = await rest.read("/sapi/v1/account/apiRestrictions", signed=True)
    return _read(answer, "apiRestrictions", parse_binance_rights)


def why_not_live(
    venue: str, rights: KeyRights | None, *, allow_withdrawals: bool, is_loopback: bool, allow_unverified: bool = False
) -> str:
    """Why this key must not trade live, and what to do; "" when it may."""
    key = f"TRADINGD__VENUES__{venue.upper()}__API_KEY"
    if rights is None:
        if is_loopback or allow_unverified:
            return ""
        return (
            f"{venue}: the venue does not tell what this key may do. Check rest_url of [venues.{venue}]; if this venue "
            "tells nobody, look at the key's rights yourself and write allow_unverified_key = true there."
        )
    if not rights.can_read or not rights.can_trade:
        lacks = "trade" if rights.can_read else "read the account"
        return f"{venue}: this key may not {lacks}. Give it that right at the exchange, or set another as {key}."
    if rights.can_withdraw and not allow_withdrawals:
        return (
            f"{venue}: this key may move money out of the account. Whoever steals it can empty the account: make one "
            f"that may only view and trade, and set it as {key}. If it must be this one, write "
            f"allow_withdrawal_key = true into [venues.{venue}]."
        )
    return ""


async def examine_key(
    venue: str, ask: Callable[[], Awaitable[KeyRights | None]], *, allow_withdrawals: bool, allow_unverified: bool,
    is_loopback: bool,
) -> str:
    """The live gate's look at a key: what a person should know of it all the same, "" for nothing.

    Raises `VenueError` when it must not trade live. A question that fails is no answer: on this machine, and where
    that is allowed in words, the key passes as an unverified one.
    """
    may_pass_unverified = is_loopback or allow_unverified
    said = ""
    try:
        rights = await ask()
    except VenueError as error:
        if not may_pass_unverified:
            raise
        rights, said = None, f" ({error})"
    problem = why_not_live(
        venue, rights, allow_withdrawals=allow_withdrawals, is_loopback=is_loopback, allow_unverified=allow_unverified
    )
    if problem:
        raise VenueError(problem)
    if rights is None:
        return f"{venue}: the venue does not tell what our key may do: nobody checked that it cannot withdraw{said}"
    if rights.can_withdraw:
        return f"{venue}: our key may move money out of the account, which allow_withdrawal_key permits"
    if rights.can_move_inside:
        return f"{venue}: our key may move money to other accounts of its owner, which trading does not need"
    return ""


def _read(answer: Any, what: str, parse: Any) -> KeyRights | None:
    if answer.status == 404:
        return None
    if not answer.is_ok:
        raise VenueError(
            f"{what}: HTTP {answer.status} {answer.message}. The venue refuses this key: check its name, secret and "
            "address list."
        )
    try:
        rights: KeyRights = parse(answer.body)
    except ValueError as error:
        raise VenueError(f"{what}: {error}") from error
    return rights


def _flag(body: object, key: str, default: bool | None = None) -> bool:
    value = body.get(key, default) if isinstance(body, dict) else None
    if type(value) is not bool:
        raise ValueError(f"{key} is {str(value)[:40]!r}, not true or false")
    return value
