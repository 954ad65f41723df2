"""Everything else: apprise knows more than a hundred services by their URLs (github.com/caronc/apprise)."""

import warnings
from typing import Any

from tradingd.alerts.alert import DeliveryError, Letter
from tradingd.settings_alerts import Level

_TYPES: dict[Level, str] = {"info": "info", "warning": "warning", "critical": "failure"}


class AppriseService:
    """`url` holds the secret as well, such as `discord://id/token`. Making one loads the library (0.1 s): at the start.

    It sends in threads, with a time-out of its own.
    """

    max_text = 3_500

    def __init__(self, url: str, timeout_s: float) -> None:
        self._sender: Any = _load(url, timeout_s)

    async def send(self, letter: Letter) -> None:
        accepted = await self._sender.async_notify(
            body=letter.text, title=letter.subject, notify_type=_TYPES[letter.level]
        )
        if not accepted:
            raise DeliveryError("the service behind apprise did not take the message")

    async def close(self) -> None:
        """It keeps nothing open."""


def _load(url: str, timeout_s: float) -> Any:
    joint = "&" if "?" in url else "?"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its hundred plug-ins import is not ours to mend
        import apprise  # 14 MB that only its users need

        sender = apprise.Apprise()
        is_known = sender.add(f"{url}{joint}cto={timeout_s:g}&rto={timeout_s:g}")
    if not is_known:
        raise DeliveryError("apprise does not know this URL: see its list of services", is_final=True)
    return sender
