"""[alerts] and [alerts.NAME]: who is told, how loudly, when not. Addresses and people here, secrets elsewhere."""

import re
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from orders.time_rules import parse_blackout, parse_day_end

Level = Literal["info", "warning", "critical"]
ServiceName = Literal["telegram", "slack", "twilio", "email", "webhook", "apprise"]
SERVICES: Final = ("telegram", "slack", "twilio", "email", "webhook", "apprise")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SCHEMES: Final = {"email": ("smtp", "smtps")}
_WEB: Final = ("http", "https")


def _check_periods(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        parse_blackout(text)
    return value


class AlertChannelSettings(BaseModel):
    """[alerts.NAME]. `token` is the channel's one secret, see docs/alerts.md for what it is in which service."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    service: ServiceName
    level: Level = "warning"
    api_url: str = ""
    token: SecretStr = SecretStr("")
    user: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    quiet_hours: tuple[str, ...] | None = None
    digest: bool = True
    commands: bool = False
    allow_users: tuple[str, ...] = ()

    @field_validator("quiet_hours")
    @classmethod
    def _periods(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else _check_periods(value)

    @field_validator("to", "allow_users", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        """One name needs no brackets."""
        return (value,) if isinstance(value, str | int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for field in _NEEDED[self.service]:
            if not getattr(self, field):
                raise ValueError(f"{self.service} needs {field}: see docs/alerts.md")
        if self.commands and self.service != "telegram":
            raise ValueError("commands are taken from telegram only: remove commands")
        if self.commands and not self.allow_users:
            raise ValueError("commands need allow_users: the numeric ids of the people who may give them")
        self._check_address()
        return self

    def _check_address(self) -> None:
        """A token must not travel in the clear, nor a password stand in an address."""
        if not self.api_url:
            return
        try:
            parts = urlsplit(self.api_url)
            host, has_password = parts.hostname, parts.password is not None
        except ValueError as error:
            raise ValueError("api_url is no address: write https://host/path") from error
        allowed = _SCHEMES.get(self.service, _WEB)
        if parts.scheme not in allowed or not host:
            raise ValueError(f"api_url must begin with {' or '.join(f'{each}://' for each in allowed)} and name a host")
        if has_password or parts.username is not None:
            raise ValueError("api_url holds a user or password: put them into user and token")
        if parts.scheme == "http" and host not in _LOOPBACK and self.service != "webhook":
            raise ValueError(f"api_url would carry the token to {host} in the clear: write https://")


_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "telegram": ("to",),
    "slack": (),
    "twilio": ("user", "sender", "to"),
    "email": ("api_url", "sender", "to"),
    "webhook": ("api_url",),
    "apprise": (),
}


class AlertsSettings(BaseModel):
    """[alerts]; every table in it is a channel."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, AlertChannelSettings] = Field(init=False)

    queue_size: int = Field(default=100, ge=10, le=10_000)
    per_minute: int = Field(default=20, ge=1, le=600)
    repeat_s: int = Field(default=300, ge=0, le=86_400)
    timeout_s: float = Field(default=10, gt=0, le=60)
    quiet_hours: tuple[str, ...] = ()
    digest: str = "08:00"

    @field_validator("quiet_hours")
    @classmethod
    def _periods(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check_periods(value)

    @field_validator("digest")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        if value:
            parse_day_end(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """[alerts.telegram] needs no service; a name is a small word, for the environment knows no capitals."""
        if not isinstance(data, dict):
            return data
        named = dict(data)
        for name, value in data.items():
            if name in cls.model_fields:
                continue
            if not isinstance(value, dict):
                if isinstance(value, AlertChannelSettings):
                    continue
                raise ValueError(f"{str(name)[:40]!r} is neither a key of [alerts] nor a table: write [alerts.NAME]")
            if not _NAME.fullmatch(str(name)):
                raise ValueError(f"{str(name)[:40]!r}: name a channel with small letters, digits and _")
            if "service" not in value and name in SERVICES:
                named[name] = {**value, "service": name}
        return named

    @property
    def channels(self) -> dict[str, AlertChannelSettings]:
        """By name, in order of their names."""
        return dict(sorted((self.__pydantic_extra__ or {}).items()))
