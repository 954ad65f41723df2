"""[alerts.NAME] -> the service it names; what is missing is said with the key that lacks it."""

from urllib.parse import urlsplit

from tradingd.alerts.alert import DeliveryError, Service
from tradingd.alerts.apprise_service import AppriseService
from tradingd.alerts.email_service import EmailService
from tradingd.alerts.telegram_api import TelegramApi, TelegramService
from tradingd.alerts.web_services import SlackService, TwilioService, WebhookService
from tradingd.settings import LOOPBACK
from tradingd.settings_alerts import AlertChannelSettings
from tradingd.settings_errors import ConfigError


def make_service(name: str, settings: AlertChannelSettings, timeout_s: float) -> Service:
    """Raises `ConfigError` when the channel's secret is missing, malformed, or would travel in the clear."""
    token = settings.token.get_secret_value()
    _check_token(name, settings, token)
    match settings.service:
        case "telegram":
            return TelegramService(TelegramApi(settings.api_url, token, timeout_s), settings.to)
        case "slack":
            return SlackService(settings.api_url, token, settings.to, timeout_s)
        case "twilio":
            return TwilioService(
                settings.api_url, settings.user, token, settings.sender, settings.to, timeout_s
            )
        case "email":
            return EmailService(settings.api_url, settings.user, token, settings.sender, settings.to, timeout_s)
        case "webhook":
            return WebhookService(settings.api_url, token, timeout_s)
        case "apprise":
            try:
                return AppriseService(token, timeout_s)
            except DeliveryError as error:
                raise ConfigError(f"alerts.{name}.token: {error}.") from error


def _check_token(name: str, settings: AlertChannelSettings, token: str) -> None:
    where = f"alerts.{name}.token"
    needs = settings.service in ("telegram", "twilio", "apprise") or (
        settings.service == "slack" and not settings.api_url
    ) or (settings.service == "email" and bool(settings.user))
    if needs and not token:
        raise ConfigError(
            f"{where} is missing: set TRADINGD__ALERTS__{name.upper()}__TOKEN in the environment, or run `tradingd "
            f"secrets set {where}`."
        )
    if any(not character.isprintable() or character.isspace() for character in token):
        raise ConfigError(f"{where} holds a space or a line break: copy it anew.")
    if settings.service == "slack" and token.startswith("xox") and not settings.to:
        raise ConfigError(f"alerts.{name}.to: a bot's token needs the channels to write to: to = [\"#trading\"].")
    parts = urlsplit(settings.api_url)
    if settings.service == "webhook" and token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError(f"alerts.{name}.api_url would carry the token in the clear: write https://.")
