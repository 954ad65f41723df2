"""What requests may hold, and the answers that are not plain views. Money is decimal text, never a number."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from bus.messages.orders import KillAction, PriceSource, TrailKind, TrailSpec
from market.money import ZERO, parse_decimal
from tradingd.api.schema_shapes import BELOW_100, UP_TO_100, VALUES, ZERO_TO_BELOW_100, Shape, one_of, or_null
from tradingd.plain_text import UNSAFE
from tradingd.read_model_views import KillView, TradingView
from tradingd.redaction import redact

_HUNDRED: Final = Decimal(100)


def _decimal(value: object, info: ValidationInfo) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('write it as a decimal string such as "0.10": a JSON number has already lost digits')
    try:
        number = parse_decimal(value, info.field_name or "value")
    except ValueError as error:
        raise ValueError('not a plain decimal string such as "0.10"') from error
    return number


def _positive(value: object, info: ValidationInfo) -> Decimal:
    number = _decimal(value, info)
    if number <= ZERO:
        raise ValueError("must be above 0")
    return number


def _not_negative(value: object, info: ValidationInfo) -> Decimal:
    number = _decimal(value, info)
    if number < ZERO:
        raise ValueError("must be 0 or more")
    return number


Money = Annotated[
    Decimal,
    BeforeValidator(_positive),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(?!0(\.0+)?$)(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$", "examples": ["0.10"],
         "description": "A decimal string above 0; a JSON number is refused."}
    ),
]
MoneyOrZero = Annotated[
    Decimal,
    BeforeValidator(_not_negative),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$", "examples": ["0.10"],
         "description": "A decimal string of 0 or more; a JSON number is refused."}
    ),
]
Text = Annotated[str, Field(max_length=500, pattern=f"^[^{UNSAFE}]*$"), AfterValidator(redact)]
"""It ends in the journal, which forgets nothing: a secret that somebody pastes into it is hidden before."""
ShortText = Annotated[str, Field(max_length=200, pattern=f"^[^{UNSAFE}]*$"), AfterValidator(redact)]
Reason = Annotated[
    str, Field(min_length=1, max_length=500, pattern=rf"^[^{UNSAFE}]*[^\s{UNSAFE}][^{UNSAFE}]*$"),
    AfterValidator(redact),
]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""Last in `Annotated[int, Field(ge=1), WHOLE]`. JSON knows one kind of number: 5 and 5.0 are the same."""
Symbol = Annotated[
    str, Field(min_length=2, max_length=40, examples=["BTC/USDT"], json_schema_extra={VALUES: "symbols"})
]
"""As the daemon writes it; it also understands BTCUSDT and btc-usdt."""


class Request(BaseModel):
    """What a client sends: nothing unknown, nothing converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LoginRequest(Request):
    """A user and a password."""

    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


def _trail_shapes() -> list[Shape]:
    shapes = []
    for kind in ("percent", "absolute", "atr"):
        fixed: dict[str, dict[str, Any]] = {"kind": {"type": "string", "const": kind}}
        fixed |= {"limit_offset": or_null(ZERO_TO_BELOW_100), "break_even": or_null(BELOW_100)}
        if kind == "percent":
            fixed["value"] = BELOW_100
        shapes.append(Shape(f"Trail of a fixed distance ({kind})", fixed, without=("decay", "decay_floor")))
        shapes.append(Shape(f"Trail that tightens ({kind})", fixed | {"decay": UP_TO_100}, ("decay", "decay_floor")))
    return shapes


class TrailRequest(Request):
    """How far a trailing order keeps from the best price: percent "2" means 2 %, absolute is in quote, atr in ATRs.

    `activation_price`: it trails only once the price gets there. `limit_offset` (percent): it leaves as a limit that
    far beyond its trigger instead of at market; a sell nobody took goes at market after five seconds. `price_source`:
    which price moves and fires it: the last trade's, the middle of the quote, or the side of the quote it would trade
    with. `break_even` (percent): once the price has gained that much since it was armed, the trigger never lies on the
    losing side of that start. `decay` (percent): each minute the distance shrinks by this share of itself as it was at
    first, down to `decay_floor` (percent, or quote when `kind` is absolute or atr).
    """

    model_config = ConfigDict(json_schema_extra=one_of(_trail_shapes()))

    kind: TrailKind
    value: Money
    activation_price: Money | None = None
    limit_offset: MoneyOrZero | None = None
    price_source: PriceSource = "last"
    break_even: Money | None = None
    decay: Money | None = None
    decay_floor: Money | None = None

    def problem(self) -> tuple[str, str] | None:
        """Field and remedy of a trail that could never fire or never be armed; None when it could."""
        if self.kind == "percent" and self.value >= _HUNDRED:
            return "value", "a trail of 100 % or more never fires: write a smaller number of percent"
        for field in ("limit_offset", "break_even"):
            percent: Decimal | None = getattr(self, field)
            if percent is not None and percent >= _HUNDRED:
                return field, "write a number of percent below 100"
        if self.decay is not None and self.decay > _HUNDRED:
            return "decay", "write a number of percent a minute, at most 100"
        if self.decay is not None and self.decay_floor is None:
            return "decay_floor", "a distance that decays needs the smallest it may become: add it"
        if self.decay_floor is not None and self.decay is None:
            return "decay_floor", "only a distance that decays has one: add decay, or remove it"
        if self.decay_floor is not None and self.kind != "atr" and self.decay_floor > self.value:
            return "decay_floor", "it is above the trail's own value: write a smaller one"
        return None

    def spec(self) -> TrailSpec:
        """The trail it stands for: percents become ratios."""
        is_percent = self.kind == "percent"
        return TrailSpec(
            self.kind, self.value / _HUNDRED if is_percent else self.value, self.activation_price,
            _ratio(self.limit_offset), self.price_source, _ratio(self.break_even), _ratio(self.decay),
            _ratio(self.decay_floor) if is_percent else self.decay_floor,
        )


def _ratio(percent: Decimal | None) -> Decimal | None:
    return None if percent is None else percent / _HUNDRED


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
    """The trading state after the command, and which orders it ends.

    `awaiting_venue`: those whose end the venue was asked for and has not confirmed yet; it is asked on.
    """

    state: str
    trading: TradingView
    kill: KillView | None
    cancelled: tuple[str, ...]
    awaiting_venue: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KillAnswer:
    """The latch after the command; `changed` is false when it already was so."""

    state: str
    kill: KillView | None
    changed: bool


@dataclass(frozen=True, slots=True)
class CloseRefused:
    """A position that stays open, and why: a refusal by the rules."""

    symbol: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class CloseAnswer:
    """Which positions are being closed, by which orders; `refused`: which are not."""

    symbols: tuple[str, ...]
    orders: tuple[str, ...]
    refused: tuple[CloseRefused, ...] = ()


@dataclass(frozen=True, slots=True)
class ShutdownAnswer:
    """The daemon begins to end."""

    message: str


Responses = dict[int | str, dict[str, Any]]
