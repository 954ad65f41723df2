"""Which locks and leases an account needs, from the settings."""

import contextlib
import os

from tradingd.lease import Lease, account_key, hold_on_this_machine
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
    stack.callback(os.close, hold_on_this_machine(account, holder))
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
