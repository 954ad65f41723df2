"""The SQL store of this account, from the settings."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tradingd.data_dir import journal_name
from tradingd.projection_account import AUTO, account_of, store_url
from tradingd.projection_child import ProjectionChild, ProjectionTask
from tradingd.settings import Settings


def start_store(
    settings: Settings, data_dir: Path, on_state: Callable[[bool, str], None], stack: AsyncExitStack
) -> None:
    """It follows the journal in a process of its own, until `stack` ends; nothing where the settings want none.

    `on_state` hears whether it keeps up, and what is wrong.
    """
    url = store_url(settings.store.url, data_dir)
    if not url:
        return
    path = data_dir / journal_name(settings.venue, settings.mode, is_replay=False)
    task = ProjectionTask(path, url, account_of(path), settings.account.quote, is_own=settings.store.url == AUTO)
    store = ProjectionChild(task, on_state)
    store.start()
    stack.push_async_callback(store.stop)
