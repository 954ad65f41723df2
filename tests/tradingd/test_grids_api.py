"""Grids over REST and from the command line, in front of a real engine."""

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error, response_schema_conformance, status_code_conformance
from typer.testing import CliRunner

from bus.ids import SessionId
from bus.messages.grid import StartGrid, StopGrid
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.system import TimerFired
from market.interval import SECOND_NS
from market.ticks import TradeTick
from orders.engine import Engine, EngineConfig
from tests.orders.grid_world import spot
from tests.orders.trading import BTC, WIDE
from tests.tradingd.small_daemon import START, SmallDaemon, served, settings_in
from tradingd import exit_codes
from tradingd.api.app import create_app
from tradingd.auth import Auth, mint_token
from tradingd.cli import app
from tradingd.client import AnswerError, Client
from tradingd.data_dir import JOURNAL, DataDir, RunInfo
from tradingd.message_journal import MessageJournal
from tradingd.settings import RiskSettings, Settings

D = Decimal


class GridDaemon(SmallDaemon):
    """Gives commands about grids to an engine of its own, which knows BTC/USDT at 100 and has 10,000."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        maker = MessageMaker("engine2", SessionId("s1"))
        self.engine = Engine(EngineConfig("USDT", WIDE), [spot()], maker)
        self._inputs = MessageMaker("inputs", SessionId("s1"))
        self.at = START
        funds = self._inputs.make(FundsChanged("USDT", D(10_000), D(10_000), "capital"), self.at)
        self._keep([funds, *self.engine.process(funds)])
        self.trade("100")

    def trade(self, price: str) -> None:
        self.at += SECOND_NS
        self._keep(self.engine.process(TradeTick(BTC, D(price), D(1), "buy", "1", self.at, self.at)))
        self._keep(self.engine.process(self._inputs.make(TimerFired("second"), self.at)))

    def _keep(self, effects: Sequence[Any]) -> list[Message]:
        facts = [effect for effect in effects if isinstance(effect, Message)]
        for fact in facts:
            self.journal.append(fact)
            self.read_model.apply(fact)
        return facts

    async def execute(self, body: object, *, by: str) -> Sequence[Message]:
        if not isinstance(body, StartGrid | StopGrid):
            return await super().execute(body, by=by)
        self.commands.append(body)
        return self._keep(self.engine.process(self._inputs.make(body, self.at)))


class Stand:
    """A served daemon, and the command line in front of it."""

    def __init__(self, daemon: GridDaemon, url: str, path: Path) -> None:
        self.daemon = daemon
        self.path = path
        self.operator = Client(url, mint_token(path))
        self.viewer = Client(url, mint_token(path, "viewer", "viewer"))

    def tradingd(self, *arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--data-dir", str(self.path)])
        assert "Traceback" not in result.stderr
        return result


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    path = tmp_path / "state"
    data_dir = DataDir.open(path)
    daemon = GridDaemon(settings_in(path))
    with served(daemon, Auth.open(path)) as url:
        data_dir.announce(RunInfo(4242, url, 1))
        yield Stand(daemon, url, path)
    data_dir.close()


def refused(call: Callable[[], Any]) -> AnswerError:
    with pytest.raises(AnswerError) as caught:
        call()
    return caught.value


# ---- REST --------------------------------------------------------------------------------------------


def test_a_grid_is_started_looked_at_and_stopped(stand: Stand) -> None:
    made = stand.operator.post("/api/grids", {"symbol": "btcusdt", "capital": "2000"})
    assert (made["id"], made["symbol"], made["state"], made["spacing"]) == ("g1", BTC, "RUNNING", "0.015")
    assert made["reason"] == "started by operator"
    assert [row["level"] for row in made["rows"]] == list(range(10, -11, -1))
    armed = [row for row in made["rows"] if row["state"] == "buy_armed"]
    assert [row["level"] for row in armed] == [0, -1, -2, -3]
    order = stand.viewer.get(f"/api/orders/{armed[1]['buy_order']}")
    assert order["tag"] == "grid-g1-L-1"
    assert order["trail"]["activation_price"] == armed[1]["price"] == "98.5"
    stand.daemon.trade("100.1")
    assert stand.viewer.get("/api/grids/g1")["rows"][10]["spent_s"] >= 0
    assert [each["id"] for each in stand.viewer.get("/api/grids")] == ["g1"]
    stopped = stand.operator.delete("/api/grids/g1?close=true")
    assert stopped["state"] == "STOPPED"
    assert stand.operator.delete("/api/grids/g1")["state"] == "STOPPED"
    assert stand.viewer.get("/api/orders?state=PENDING") == []


def test_percents_and_prices_arrive_as_they_were_meant(stand: Stand) -> None:
    stand.operator.post("/api/grids", {
        "symbol": BTC, "capital": "500", "levels": 4, "spacing": "auto", "min_spacing": "0.5", "max_spacing": "2",
        "trail": "0.4", "floor": "80", "centre": "101.5", "history": ["100", "101"],
    })
    assert stand.daemon.commands[-1] == StartGrid(
        BTC, D(500), 4, None, D("0.005"), D("0.02"), D("0.004"), D(80), D("101.5"), history=(D(100), D(101)),
        reason="started by operator",
    )


@pytest.mark.parametrize(("body", "bounds"), [
    ({}, (None, D("0.005"), D("0.02"))),
    ({"min_spacing": "1"}, (None, D("0.01"), D("0.02"))),
    ({"max_spacing": "3"}, (None, D("0.005"), D("0.03"))),
    ({"min_spacing": "2.5"}, (None, D("0.025"), None)),
    ({"max_spacing": "0.4"}, (None, None, D("0.004"))),
    ({"spacing": "3"}, (D("0.03"), None, None)),
])
def test_the_preset_trailing_grid_bounds_an_auto_spacing_where_a_person_did_not(
    stand: Stand, body: dict[str, str], bounds: tuple[Decimal | None, ...],
) -> None:
    """Half a percent to two percent [T7]."""
    stand.daemon.settings = Settings(risk=RiskSettings(preset="trailing-grid"))
    stand.operator.post("/api/grids", {"symbol": BTC, "capital": "500", "levels": 4, **body})
    asked = stand.daemon.commands[-1]
    assert isinstance(asked, StartGrid)
    assert (asked.spacing, asked.min_spacing, asked.max_spacing) == bounds


def test_a_field_that_may_be_two_things_is_named_plainly_and_once(stand: Stand) -> None:
    body = {"symbol": BTC, "capital": "2000", "spacing": "wide"}
    error = refused(lambda: stand.operator.post("/api/grids", body)).body
    assert [each["field"] for each in error["errors"]] == ["spacing"]
    assert "plain decimal string" in error["message"]
    assert "'auto'" in error["message"]


def test_a_waiting_grid_shows_what_it_waits_for(stand: Stand) -> None:
    made = stand.operator.post("/api/grids", {"symbol": BTC, "capital": "2000", "entry": "first"})
    assert (made["state"], made["session_price"]) == ("WAITING", "100")
    stand.daemon.trade("97.9")
    assert stand.viewer.get("/api/grids/g1")["centre"] == "97.9"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"symbol": BTC, "capital": 2000}, 422, "INVALID_REQUEST"),
        ({"symbol": BTC, "capital": "2000", "spacing": "wide"}, 422, "INVALID_REQUEST"),
        ({"symbol": BTC, "capital": "2000", "levels": 0}, 422, "INVALID_REQUEST"),
        ({"symbol": BTC, "capital": "2000", "colour": "red"}, 422, "INVALID_REQUEST"),
        ({"symbol": "XXX/USDT", "capital": "2000"}, 422, "UNKNOWN_SYMBOL"),
        ({"symbol": BTC, "capital": "100"}, 422, "GRID_TOO_SMALL"),
        ({"symbol": BTC, "capital": "2000", "spacing": "30"}, 422, "INVALID_GRID"),
        ({"symbol": BTC, "capital": "99000"}, 422, "INSUFFICIENT_FUNDS"),
    ],
)
def test_what_cannot_be_is_refused_in_one_shape(stand: Stand, body: dict[str, Any], status: int, code: str) -> None:
    error = refused(lambda: stand.operator.post("/api/grids", body))
    assert (error.status, error.code) == (status, code)
    assert error.message
    assert {"rule", "limit", "family"} <= error.body.keys()
    assert stand.viewer.get("/api/grids") == []


def test_one_grid_a_symbol_and_operators_only(stand: Stand) -> None:
    body = {"symbol": BTC, "capital": "2000"}
    assert refused(lambda: stand.viewer.post("/api/grids", body)).status == 403
    stand.operator.post("/api/grids", body)
    again = refused(lambda: stand.operator.post("/api/grids", body))
    assert (again.status, again.code) == (409, "GRID_EXISTS")
    assert refused(lambda: stand.viewer.delete("/api/grids/g1")).status == 403
    assert refused(lambda: stand.operator.delete("/api/grids/g9")).status == 404
    assert refused(lambda: stand.viewer.get("/api/grids/g9")).code == "UNKNOWN_GRID"


def test_generated_requests_for_grids_find_no_server_error(tmp_path: Path) -> None:
    app = create_app(GridDaemon(settings_in(tmp_path)), Auth.open(tmp_path))
    headers = {"Authorization": f"Bearer {mint_token(tmp_path)}", "Host": "localhost"}
    checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
    answered: set[int] = set()
    for found in schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers).get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if not operation.path.startswith("/api/grids"):
            continue

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(operation.as_strategy(schemathesis.GenerationMode.POSITIVE), st.booleans())
        def never_fails(case: Any, is_known: bool) -> None:
            if is_known and isinstance(case.body, dict):
                case.body |= {"symbol": BTC}
            elif is_known and case.path_parameters:
                case.path_parameters["grid_id"] = "g1"
            answered.add(case.call_and_validate(headers=headers, checks=checks).status_code)

        never_fails()
    assert answered <= {200, 202, 404, 409, 422}
    assert answered & {200, 422}


# ---- command line ------------------------------------------------------------------------------------


def test_the_command_line_starts_shows_and_stops_a_grid(stand: Stand) -> None:
    wish = ("--capital", "1000", "--spacing", "1%", "--trail", "0.5%", "--json")
    made = stand.tradingd("grid", "start", "BTC/USDT", *wish)
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["spacing"] == "0.01"
    listed = stand.tradingd("grid", "show")
    assert "g1" in listed.stdout
    assert "1 %" in listed.stdout
    one = stand.tradingd("grid", "show", "g1")
    assert "buy_armed" in one.stdout
    assert "capital 1000, spacing 1 % (fixed), trail 0.5 %" in one.stdout
    asked = stand.tradingd("grid", "stop", "g1")
    assert asked.exit_code == exit_codes.USAGE
    assert "--yes" in asked.stderr
    ended = stand.tradingd("grid", "stop", "g1", "--close", "--yes")
    assert "STOPPED" in ended.stdout


def test_the_command_line_says_what_is_wrong(stand: Stand) -> None:
    poor = stand.tradingd("grid", "start", "BTC/USDT", "--capital", "50")
    assert poor.exit_code == exit_codes.REFUSED
    assert "needs" in poor.stderr
    assert stand.tradingd("grid", "start", "BTC/USDT", "--capital", "much").exit_code == exit_codes.USAGE
    soon = stand.tradingd("grid", "start", "BTC/USDT", "--capital", "900", "--entry", "soon")
    assert soon.exit_code == exit_codes.USAGE
    assert stand.tradingd("grid", "show", "g5").exit_code == exit_codes.NOT_FOUND
    assert "grid start" in stand.tradingd("grid", "show").stdout


def test_without_a_daemon_the_journal_tells_of_the_grids(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    daemon = GridDaemon(settings_in(path))
    daemon._keep(daemon.engine.process(daemon._inputs.make(StartGrid(BTC, D(2000)), daemon.at)))
    daemon.trade("100.2")
    live = daemon.read_model.grid_view("g1")
    journal = MessageJournal.open(path / JOURNAL)
    journal.append(daemon.journal, sync=True)
    journal.close()
    told = CliRunner().invoke(app, ["grid", "show", "g1", "--json", "--data-dir", str(path)])
    assert told.exit_code == 0, told.stderr
    answer = json.loads(told.stdout)
    assert live is not None
    assert (answer["state"], answer["centre"], answer["orders"]) == ("RUNNING", live.centre, live.orders)
    assert [row["state"] for row in answer["rows"]] == [row.state for row in live.rows]
