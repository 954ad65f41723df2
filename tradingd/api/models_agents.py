"""Weights of alphas, and what is seen of them under the glass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradingd.alpha_fold import AlphaResultView, SignalView
from tradingd.api.models import WHOLE, Request, ShortText
from tradingd.api.schema_shapes import Shape, one_of
from tradingd.profile import ProfileView
from tradingd.weight_fold import WeightChangeView, WeightFold, WeightSource, weight_source

AlphaState = Literal["off", "waiting", "active", "failing"]


class WeightRequest(Request):
    """0 = off, 1 = counts fully. `version` instead: the weight that this change of it gave."""

    model_config = ConfigDict(json_schema_extra=one_of([
        Shape("A weight", needed=["weight"], without=["version"]),
        Shape("That of an earlier version", needed=["version"], without=["weight"]),
    ]))

    weight: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    version: Annotated[int, Field(ge=1, le=1_000_000_000), WHOLE] | None = None
    reason: ShortText = ""


@dataclass(frozen=True, slots=True)
class WeightView:
    """`weight` holds; `configured` is what file or alpha say, `by` who changed it: a person (then it holds until it is
    released) or what was learnt. `right` of the last `outcomes` round trips whose entry it voted on; `changes`: the
    last ones, newest first.
    """

    alpha: str
    weight: float
    configured: float
    source: WeightSource
    by: str | None
    version: int
    reason: str
    outcomes: int
    right: int
    changes: tuple[WeightChangeView, ...]


@dataclass(frozen=True, slots=True)
class AlphaDebugView:
    """One alpha live. `state`: off (weight 0), waiting (nothing said yet), active, failing (it raised)."""

    alpha: str
    state: AlphaState
    weight: float
    last_signal: SignalView | None
    result: AlphaResultView
    profile: ProfileView | None


def weight_view(alpha: str, weight: float, configured: Mapping[str, float], fold: WeightFold) -> WeightView:
    """What is known of an alpha's weight."""
    change, loaded, outcomes = fold.weight_by_alpha.get(alpha), fold.loaded.get(alpha), fold.outcomes(alpha)
    base = configured.get(alpha, loaded.weight if loaded is not None else 0.0)
    by = change.by if change is not None else None
    return WeightView(
        alpha, weight, base, weight_source(change, base), by, fold.version(alpha),
        change.reason if change is not None else "", len(outcomes), sum(outcomes), fold.changes(alpha),
    )
