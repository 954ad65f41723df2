"""Keeps the weights of alphas: learns from each round trip, unless a person has said what an alpha weighs.

Each change is a `WeightChanged` in the journal, numbered by alpha, with its reason. The outcomes it rests on are a fold
over the journal (`tradingd.weight_fold`), so a restart and a replay come to the same weights.
"""

from collections.abc import Callable, Mapping

from agents.alphas.registry import BUILT_IN_NAMES
from agents.weights import adapted, factor_of
from bus.messages.council import AlphaLoaded, WeightChanged
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from bus.messages.system import DaemonStarted
from tradingd.runtime import Runtime
from tradingd.settings import Settings
from tradingd.weight_fold import ADAPTATION, SAME_WEIGHT, WeightFold


class WeightKeeper:
    """`configured` are the file's weights; `change` makes a fact of a change. Not adaptive: weights are the file's."""

    def __init__(
        self, fold: WeightFold, configured: Mapping[str, float], *, is_adaptive: bool,
        change: Callable[[WeightChanged], object],
    ) -> None:
        self._fold = fold
        self._configured = configured
        self._is_adaptive = is_adaptive
        self._change = change

    def hear(self, message: Message) -> None:
        """A listener of the runtime's: after the fold, and inside the step that made the fact."""
        body = message.body
        if isinstance(body, PositionClosed):
            self._review(sorted(self._fold.last_judged), "")
        elif isinstance(body, DaemonStarted):
            # A built-in one that is no longer in the file weighs nothing, whatever it had learnt.
            ours = self._configured.keys() | set(BUILT_IN_NAMES)
            self._review(sorted(self._fold.weight_by_alpha.keys() & ours), "since the last session")
        elif isinstance(body, AlphaLoaded):
            self._review([body.alpha] if body.alpha in self._fold.weight_by_alpha else [], "since it was loaded last")

    def base(self, alpha: str) -> float:
        """What it weighs before anything was learnt: the file's word, else its own wish, else nothing."""
        if alpha in self._configured:
            return self._configured[alpha]
        loaded = self._fold.loaded.get(alpha)
        return loaded.weight if loaded is not None else 0.0

    def free_weight(self, alpha: str) -> float:
        """What it would weigh if no person had said anything."""
        base = self.base(alpha)
        return adapted(base, self._fold.outcomes(alpha)) if self._is_adaptive else base

    def release(self, alpha: str, by: str) -> WeightChanged:
        """The fact that ends a person's word."""
        return WeightChanged(
            alpha, self.free_weight(alpha), by, f"released; {self._why(alpha)}", is_pinned=False,
            version=self._fold.version(alpha) + 1,
        )

    def _review(self, alphas: list[str], when: str) -> None:
        for alpha in alphas:
            known = self._fold.weight_by_alpha.get(alpha)
            if known is not None and known.is_pinned:
                continue
            now = known.weight if known is not None else self.base(alpha)
            wanted = self.free_weight(alpha)
            if abs(wanted - now) < SAME_WEIGHT:
                continue
            reason = self._why(alpha) + (f" ({when} {now:g})" if when else "")
            self._change(WeightChanged(
                alpha, wanted, ADAPTATION, reason, is_pinned=False, version=self._fold.version(alpha) + 1,
            ))

    def _why(self, alpha: str) -> str:
        base, outcomes = self.base(alpha), self._fold.outcomes(alpha)
        if not self._is_adaptive:
            return f"weights are not adapted: {base:g} as configured"
        if not outcomes:
            return f"no outcome yet: {base:g} as configured"
        return f"right in {sum(outcomes)} of its last {len(outcomes)} outcomes: {base:g} x {factor_of(outcomes):.2f}"


def keep_weights(runtime: Runtime, settings: Settings) -> WeightKeeper:
    """One for this runtime, which hears everything from now on."""
    keeper = WeightKeeper(
        runtime.read_model.alphas.weights, settings.council.weights, is_adaptive=settings.council.adapt_weights,
        change=lambda change: runtime.set_weight(change, by=ADAPTATION),
    )

    def hear(message: Message) -> None:
        if isinstance(message.body, DaemonStarted):  # an analyst made before the journal was folded knows the file only
            for _, known in sorted(runtime.read_model.alphas.weights.weight_by_alpha.items()):
                runtime.runners["analyst"].deliver(runtime.make("weights", known))
        keeper.hear(message)

    runtime.listeners.append(hear)
    return keeper
