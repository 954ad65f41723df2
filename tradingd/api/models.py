"""What requests may hold, and the answers that are not plain views. Money is decimal text, never a number."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from bus.messages.orders import KillAction, TrailKind
from market.money import ZERO, parse_decimal
from tradingd.read_model_views import KillView, TradingView


def _positive(value: object, info: ValidationInfo) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('write it as a decimal string such as "0.10": a JSON number has already lost digits')
    try:
        number = parse_decimal(value, info.field_name or "value")
    except ValueError as error:
        raise ValueError('not a plain decimal string such as "0.10"') from error
    if number <= ZERO:
        raise ValueError("must be above 0")
    return number


Money = Annotated[
    Decimal,
    BeforeValidator(_positive),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(?!0(\.0+)?$)(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$", "examples": ["0.10"],
         "description": "A decimal string above 0; a JSON number is refused."}
    ),
]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
Symbol = Annotated[str, Field(min_length=2, max_length=40, examples=["BTC/USDT"])]


class Request(BaseModel):
    """What a client sends: nothing unknown, nothing converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LoginRequest(Request):
    """A user and a password."""

    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class TrailRequest(Request):
    """How far a trailing order keeps from the best price: percent "2" means 2 %, absolute is in quote, atr in ATRs."""

    kind: TrailKind
    value: Money


class KillRequest(Request):
    """halt = nothing new; cancel = and end entries; flatten = and close positions."""

    action: KillAction
    reason: Reason


class UnlockRequest(Request):
    """Why, for the journal. `confirm` must be "unlock" or true: nobody releases the switch by a slip."""

    reason: Reason
    confirm: Literal["unlock", True]


class CloseRequest(Request):
    """Which position; none = all of them."""

    symbol: Symbol | None = None


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """Send it as `Authorization: Bearer <access_token>`; `expires_in` seconds."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int


@dataclass(frozen=True, slots=True)
class LogoutAnswer:
    """Whose token it was."""

    user: str
    message: str


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """Ready means: reconciled, connected, taking commands."""

    status: Literal["ready", "not_ready"]
    reason: str
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class TradingAnswer:
    """The trading state after the command, and which orders it ended."""

    state: str
    trading: TradingView
    kill: KillView | None
    cancelled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KillAnswer:
    """The latch after the command; `changed` is false when it already was so."""

    state: str
    kill: KillView | None
    changed: bool


@dataclass(frozen=True, slots=True)
class CloseAnswer:
    """Which positions are being closed, by which orders."""

    symbols: tuple[str, ...]
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShutdownAnswer:
    """The daemon begins to end."""

    message: str


Responses = dict[int | str, dict[str, Any]]
