"""kill -9 in the middle of writing: what was acknowledged is there, every file is whole, and the work goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from store.candles import CandleStore
from tests.store.test_candles import BTC, MINUTE, candle, columns

WRITER = """
import sys
from pathlib import Path
from store.candles import CandleStore
from tests.store.test_candles import BTC, candle, columns
store = CandleStore(Path(sys.argv[1]))
for first in range(0, 10**7, 300):
    store.write(BTC, "1m", columns(*(candle(minute) for minute in range(first, first + 300))))
    print(first + 300, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_what_was_acknowledged_survives_and_the_next_writer_goes_on(tmp_path: Path, acknowledged: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[2],
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(acknowledged)]
        writer.kill()
    store = CandleStore(tmp_path)
    times = store.open_times(BTC, "1m")
    assert len(times) >= said[-1]
    assert len(times) % 300 == 0  # a chunk is there or it is not
    assert len(store.load(BTC, "1m")) == len(times)
    assert store.coverage(BTC, "1m").gaps == ()
    following = int((times[-1] - times[0]) // MINUTE) + 1
    assert store.write(BTC, "1m", columns(candle(following))).added == 1
    assert not list(tmp_path.rglob(".*.new"))
