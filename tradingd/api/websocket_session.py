"""What a websocket client says: {op: auth | subscribe | unsubscribe | command | ping}; the first brings the token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tradingd.api.websocket_commands import COMMANDS
from tradingd.api.websocket_events import CHANNELS
from tradingd.auth import Auth, CredentialsError, Principal, TokenError

_OPS: Final = ("auth", "subscribe", "unsubscribe", "command", "ping")
_MOST_ID: Final = 128


class SayError(Exception):
    """What the client said cannot be done; code for machines, text for people. `is_final`: hang up."""

    def __init__(self, code: str, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Command:
    """A request to carry out; `id` comes back with the answer. `is_repeated`: it was answered already."""

    id: str | int | None
    name: str
    args: Mapping[str, Any]
    key: str
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One message, checked. `channels` for subscribe and unsubscribe, `command` for command."""

    op: str
    id: str | int | None = None
    token: str = ""
    channels: frozenset[str] = frozenset()
    command: Command | None = None


def read_said(text: bytes) -> Said:
    """Check one message; raises `SayError`."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SayError("INVALID_REQUEST", "the message is not valid JSON: mend it") from error
    if not isinstance(data, dict):
        raise SayError("INVALID_REQUEST", "a message is an object such as {\"op\": \"subscribe\", ...}")
    token = data.get("token", "")
    op = data.get("op", "auth" if token else None)
    if op not in _OPS:
        raise SayError("INVALID_REQUEST", f"op: write one of {', '.join(_OPS)}")
    message_id = data.get("id")
    if not (message_id is None or (isinstance(message_id, str | int) and len(str(message_id)) <= _MOST_ID)):
        raise SayError("INVALID_REQUEST", f"id: write a number or a text of up to {_MOST_ID} characters")
    if not isinstance(token, str):
        raise SayError("INVALID_REQUEST", "token: write the token of POST /api/auth/login as a text")
    if op in ("subscribe", "unsubscribe"):
        return Said(op, message_id, token, _channels(data))
    if op == "command":
        return Said(op, message_id, token, command=_command(data, message_id))
    return Said(op, message_id, token)


def principal_of(auth: Auth, token: str) -> Principal:
    """Who speaks; raises a final `SayError`."""
    if not token:
        told = "the first message carries the token: {\"op\": \"auth\", \"token\": \"...\"}"
        raise SayError("NOT_AUTHENTICATED", told, is_final=True)
    try:
        return auth.principal(token)
    except (TokenError, CredentialsError) as error:
        raise SayError("NOT_AUTHENTICATED", str(error), is_final=True) from error


def _channels(data: Mapping[str, Any]) -> frozenset[str]:
    wanted = data.get("channels", data.get("channel"))
    if isinstance(wanted, str):
        wanted = [wanted]
    if wanted == ["*"]:
        return frozenset(CHANNELS)
    if not isinstance(wanted, list) or not wanted or len(wanted) > len(CHANNELS):
        raise SayError("INVALID_REQUEST", f"channels: write a list of {', '.join(CHANNELS)}")
    for name in wanted:
        if name not in CHANNELS:
            raise SayError("UNKNOWN_CHANNEL", f"channels: one is unknown; write some of {', '.join(CHANNELS)}")
    return frozenset(wanted)


def _command(data: Mapping[str, Any], message_id: str | int | None) -> Command:
    name, args, key = data.get("command"), data.get("args", {}), data.get("key", "")
    if not isinstance(name, str) or name not in COMMANDS:
        raise SayError("UNKNOWN_COMMAND", f"command: write one of {', '.join(COMMANDS)}")
    if not isinstance(args, dict):
        raise SayError("INVALID_REQUEST", "args: write an object")
    if not isinstance(key, str) or len(key) > _MOST_ID:
        raise SayError("INVALID_REQUEST", f"key: write a text of up to {_MOST_ID} characters")
    return Command(message_id, name, args, key)
