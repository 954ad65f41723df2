"""Weights of alphas, and what is seen of them under the glass."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tradingd.alpha_fold import AlphaResultView, SignalView
from tradingd.api.models import Request
from tradingd.profile import ProfileView

AlphaState = Literal["off", "waiting", "active", "failing"]


class WeightRequest(Request):
    """0 = off, 1 = counts fully."""

    weight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class WeightView:
    """`weight` holds; `configured` is what the file says; `by` is the person who set it, if one did."""

    alpha: str
    weight: float
    configured: float
    source: Literal["config", "person"]
    by: str | None


@dataclass(frozen=True, slots=True)
class AlphaDebugView:
    """One alpha live. `state`: off (weight 0), waiting (nothing said yet), active, failing (it raised)."""

    alpha: str
    state: AlphaState
    weight: float
    last_signal: SignalView | None
    result: AlphaResultView
    profile: ProfileView | None
