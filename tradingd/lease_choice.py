"""Which locks and leases an account needs, from the settings."""

import contextlib
from collections.abc import Callable

from bus.ids import SessionId
from tradingd.lease import PATIENCE_S, Lease, LeaseKeeper, account_key, holder_name
from tradingd.machine_lock import hold_on_this_machine
from tradingd.settings import Settings, VenueSettings


def take_account(
    settings: Settings, urls: VenueSettings, holder: str, stack: contextlib.AsyncExitStack
) -> Lease | None:
    """Lock a live account on this machine and name the lease to take; None when there is none to take.

    PostgreSQL before Redis when both are configured. Paper accounts, and that of a practice exchange we started
    ourselves, belong to their data directory and are locked with it. Raises `AccountTakenError`.
    """
    keys = settings.venues.get(settings.venue, VenueSettings())
    if settings.mode != "live" or (settings.venue == "practice" and not keys.rest_url):
        return None
    account = account_key(settings.venue, urls.rest_url, keys.api_key.get_secret_value())
    stack.enter_context(hold_on_this_machine(account, holder))
    if settings.store.lease == "off":
        return None
    if settings.store.url.startswith("postgres"):
        from store.sql.postgres_lease import PostgresLease  # only those who use it pay for its library

        return PostgresLease(settings.store.url, account)
    if settings.bus.url != "memory://":
        from bus.redis_lease import RedisLease

        # Not under the bus's namespace: two daemons have two of these, and yet perhaps one account.
        return RedisLease(settings.bus.url, f"tradingd:lease:{account}")
    return None


async def hold_account(
    settings: Settings, urls: VenueSettings, session: SessionId, stack: contextlib.AsyncExitStack, *,
    is_restart: bool, on_doubt: Callable[[str], None], on_lost: Callable[[BaseException], None],
) -> LeaseKeeper | None:
    """Lock the account, take its lease, keep it and give it back with the stack; None when there is none to keep.

    `is_restart`: the holder may be our own dead process, whose end is waited for. Raises `AccountTakenError`.
    """
    lease = take_account(settings, urls, holder := holder_name(session), stack)
    if lease is None:
        return None
    keeper = LeaseKeeper(lease, holder, on_doubt, on_lost)
    stack.push_async_callback(keeper.end)
    await keeper.begin(patience_s=PATIENCE_S if is_restart else 0.0)
    keeper.keep()
    return keeper
