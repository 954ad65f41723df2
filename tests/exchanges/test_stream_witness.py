"""A user stream that is there and tells nothing is opened anew; one that is only slower than REST is left alone."""

import pytest

from bus.ids import ClientOrderId, TradeId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges import stream_witness
from exchanges.stream_witness import StreamWitness
from market.interval import SECOND_NS
from tests.exchanges.coinbase.exchange import until

UP = 1_723_161_255 * SECOND_NS
LATER = UP + 60 * SECOND_NS


class Scene:
    """A witness, and why it had the stream opened anew."""

    def __init__(self) -> None:
        self.up_since_ns = UP
        self.reasons: list[str] = []
        self.witness = StreamWitness(lambda: self.up_since_ns, self.reasons.append, patience_s=0.01)

    @property
    def is_settled(self) -> bool:
        return not self.witness._awaited


def fill(trade: str = "7", ts: int = LATER, kind: ExecType = "fill") -> ExecutionReport:
    return ExecutionReport(ClientOrderId("td-1"), "BTC/USD", kind, ts, trade_id=TradeId(trade))


async def test_a_fill_that_rest_alone_tells_has_the_stream_opened_anew_once():
    scene = Scene()
    for _ in range(2):
        scene.witness.found(fill())
        scene.witness.note(fill())
    await until(lambda: scene.is_settled)
    assert scene.reasons == ["it did not tell of trade 7 of BTC/USD"]


async def test_a_stream_that_tells_before_or_soon_after_is_not_doubted():
    scene = Scene()
    scene.witness.told(fill("6"))
    scene.witness.found(fill("6"))
    scene.witness.found(fill("7"))
    scene.witness.told(fill("7"))
    assert scene.is_settled


@pytest.mark.parametrize("report", [fill(ts=UP + SECOND_NS), fill(ts=UP - SECOND_NS), fill(kind="accepted")])
async def test_what_happened_before_it_was_there_and_what_is_no_fill_it_need_not_tell(report: ExecutionReport):
    scene = Scene()
    scene.witness.found(report)
    assert scene.is_settled


async def test_what_an_answer_to_an_order_told_first_is_not_waited_for():
    scene = Scene()
    scene.witness.note(fill())
    scene.witness.found(fill())
    assert scene.is_settled


async def test_a_stream_that_is_away_or_new_by_then_is_not_blamed():
    scene = Scene()
    scene.up_since_ns = 0
    scene.witness.found(fill("6"))
    assert scene.is_settled
    scene.up_since_ns = UP
    scene.witness.found(fill("7"))
    scene.up_since_ns = UP + SECOND_NS
    await until(lambda: scene.is_settled)
    assert scene.reasons == []


async def test_nothing_is_waited_for_after_its_end():
    scene = Scene()
    scene.witness.found(fill())
    (awaited,) = scene.witness._awaited.values()
    scene.witness.close()
    assert awaited.cancelled()


async def test_of_what_is_known_the_last_thousand_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_witness, "_KEEP", 1)
    scene = Scene()
    for trade in ("6", "7"):
        scene.witness.note(fill(trade))
    scene.witness.found(fill("7"))
    assert scene.is_settled
    scene.witness.found(fill("6"))
    assert not scene.is_settled
    scene.witness.close()
