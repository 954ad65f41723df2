"""The signal models that come with the product. A new one is a file beside this and a line below."""

from collections.abc import Collection, Mapping
from typing import Final

from agents.alphas.alpha import Alpha
from agents.alphas.mean_reversion import MeanReversion
from agents.alphas.momentum import Momentum
from agents.alphas.regime import MarketRegime
from agents.alphas.structure import Structure
from agents.alphas.technical import Technical
from agents.alphas.volatility import Volatility
from agents.alphas.volume_profile import VolumeProfile

BUILT_IN: Final[tuple[type[Alpha], ...]] = (
    Momentum, MeanReversion, Structure, Volatility, VolumeProfile, MarketRegime, Technical,
)


class UnknownAlphaError(ValueError):
    """A weight names a signal model that does not exist; `name` is that name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


BUILT_IN_NAMES: Final = tuple(sorted(model.name for model in BUILT_IN))
"""No other alpha may have one of these names."""


def make_alphas(weights: Mapping[str, float], outside: Collection[str] | None = ()) -> tuple[Alpha, ...]:
    """All built-in alphas, in a fixed order; one of weight 0 is there but not asked, so it can be enabled later.

    `outside` are the names of the alphas that think elsewhere, None when not all of them are known. Raises
    `UnknownAlphaError` for a weight without a model: a misspelt name must not silently mean "off".
    """
    alphas: tuple[Alpha, ...] = tuple(model() for model in BUILT_IN)
    known = sorted({*BUILT_IN_NAMES, *(outside or ())})
    for name in sorted(weights):
        if name not in known and outside is not None:
            raise UnknownAlphaError(
                name, f"there is no alpha {name!r}. Known: {', '.join(known)}; mend the name, or put its "
                "file back into DATA_DIR/alphas."
            )
    return alphas
