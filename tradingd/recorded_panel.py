"""What alphas that think elsewhere said to the analyst: noted, and given again (`tradingd.session_inputs`)."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agents.alphas.alpha import MarketView
from agents.alphas.panel import AlphaPanel, OutsideAlpha
from bus.codec_plans import packer, unpacker
from bus.messages.council import OpinionsGathered

ROSTER = "roster"
ASKED = "asked"


class RecordedPanel:
    """A panel whose answers are noted: each answer to a question, and who belongs to it whenever that changed."""

    def __init__(self, inner: AlphaPanel, note: Callable[[str, object], None]) -> None:
        self._inner = inner
        self._note = note
        self._looks = 0
        self._known: tuple[OutsideAlpha, ...] = ()

    def roster(self) -> Sequence[OutsideAlpha]:
        self._looks += 1
        found = tuple(self._inner.roster())
        if found != self._known:
            self._known = found
            self._note(ROSTER, [self._looks, [packer(OutsideAlpha)(each) for each in found]])
        return found

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """As the panel inside answers."""
        answer = self._inner.ask(view, names)
        if names:
            self._note(ASKED, None if answer is None else packer(OpinionsGathered)(answer))
        return answer


class NotedPanel:
    """Answers as it was answered then. `noted`: all lines of `ROSTER` and `ASKED` (kind, plain data), in order."""

    def __init__(self, noted: Iterable[tuple[str, Any]]) -> None:
        self._rosters: dict[int, tuple[OutsideAlpha, ...]] = {}
        self._answers: deque[OpinionsGathered | None] = deque()
        self._looks = 0
        self._known: tuple[OutsideAlpha, ...] = ()
        for kind, data in noted:
            if kind == ROSTER:
                self._rosters[int(data[0])] = tuple(unpacker(OutsideAlpha)(each) for each in data[1])
            else:
                self._answers.append(None if data is None else unpacker(OpinionsGathered)(data))

    def roster(self) -> Sequence[OutsideAlpha]:
        self._looks += 1
        self._known = self._rosters.get(self._looks, self._known)
        return self._known

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """The next noted answer; silence when there is none (an end that was lost)."""
        if not names:
            return OpinionsGathered(view.symbol, view.interval, view.ts_open, ())
        return self._answers.popleft() if self._answers else None
