"""The metrics: a closed catalogue that page, dashboard and exposition agree on, named as Prometheus asks."""

import json
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bus.ids import ClientOrderId, SessionId, TradeId
from bus.messages import council, ledger, orders, system
from bus.messages.header import MessageMaker
from risk.codes import DENIAL_CODES
from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd.api.routes_metrics import needs_token
from tradingd.auth import Auth, mint_token
from tradingd.client import AnswerError, Client
from tradingd.metric_catalogue import BY_NAME, CATALOGUE
from tradingd.metrics import Metrics
from tradingd.otlp import to_otlp
from tradingd.settings import ApiSettings, MetricsSettings, Settings

ROOT = Path(__file__).resolve().parents[2]
D = Decimal
BTC = "BTC/USDT"
MAKER = MessageMaker("engine", SessionId("s1"))


@pytest.fixture
def daemon(tmp_path: Path) -> SmallDaemon:
    return SmallDaemon(settings_in(tmp_path))


def values(metrics: Metrics) -> dict[str, float]:
    """`name{label=value}` -> number, of everything exposed."""
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def signal(confidence: float) -> council.AlphaSignal:
    return council.AlphaSignal("momentum", "1", BTC, "1s", 0, "trail_buy", confidence, 1.0, 0.01, "low", "x")


def filled(daemon: SmallDaemon, metrics: Metrics, side: orders.Side, quantity: str = "0.5") -> None:
    order_id = ClientOrderId(f"td-{side}")
    order = orders.SubmitOrder(order_id, BTC, side, "market", D(quantity), "manual")
    for body in (
        orders.OrderInitialized(order),
        orders.OrderSubmitted(order_id, BTC, "market", D(quantity), None, D(100)),
        orders.OrderFilled(
            order_id, BTC, side, f"t{side}", D(quantity), D("100.1"), D(0), "USDT", D(quantity),  # type: ignore[arg-type]
            True, False, True,
        ),
    ):
        metrics.hear(daemon.fact(body))


# ---- the catalogue -----------------------------------------------------------------------------------


def test_only_what_the_catalogue_names_is_exposed_with_its_type_and_labels(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    metrics.hear(MAKER.make(signal(0.5), 1))
    filled(daemon, metrics, "buy")
    text = metrics.render().decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {name: BY_NAME[name].kind for name in types} == types
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count)$", "", sample.name)
            known = BY_NAME.get(sample.name) or BY_NAME[name]
            assert set(sample.labels) - {"le"} == set(known.labels), sample.name


def test_the_page_has_the_whole_catalogue() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    told = [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), text.strip()) for name, kind, labels, text in rows]
    assert told == [(each.name, each.kind, each.labels, each.text) for each in CATALOGUE]


def test_the_dashboard_asks_only_for_metrics_there_are_and_for_nearly_all() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/tradingd.json").read_text())
    text = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
    named = set(re.findall(r"\b(?:tradingd|process|agent|trad(?:ing|es))_\w+", text)) - {"agent_id"}
    real = {re.sub(r"_bucket$", "", name) for name in named}
    assert real <= set(BY_NAME)
    assert len(real) > 40
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_alerting_rules_ask_for_metrics_and_labels_there_are() -> None:
    path = ROOT / "deploy/prometheus/rules.yaml"
    (group,) = yaml.safe_load(path.read_text())["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        assert re.fullmatch(r"Tradingd[A-Z]\w+", rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        (name,) = set(re.findall(r"\btradingd_\w+", rule["expr"]))
        metric = BY_NAME[re.sub(r"_bucket$", "", name)]
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert labels | set(re.findall(r"{(\w+)=", rule["expr"])) <= set(metric.labels)
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "rules", str(path)], check=True, capture_output=True)


def test_names_follow_the_rules_of_prometheus() -> None:
    """The checks of `promtool check metrics`."""
    for metric in CATALOGUE:
        name = metric.name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
        assert metric.text, name
        assert (metric.kind == "counter") == (name.endswith("_total") and metric.kind != "untyped"), name
        assert not re.search(r"_(count|sum|bucket|info)$", name) or name == "tradingd_build_info", name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|percent|kb|mb|megabytes)(_|$)", name), name
        assert not re.search(r"_(gauge|counter|histogram|summary)(_|$)", name), name
        assert "le" not in metric.labels
        assert bool(metric.buckets) == (metric.kind == "histogram"), name
        assert list(metric.buckets) == sorted(metric.buckets), name


def test_every_denial_code_has_a_series_and_nothing_else_can_make_one(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    known = next(iter(DENIAL_CODES))
    for code in (known, known, "made up <script>"):
        body = orders.OrderDenied(ClientOrderId("a"), BTC, code, "E1", "r", "v", "l", "m")
        metrics.hear(MAKER.make(body, 1))
    found = values(metrics)
    series = {name for name in found if name.startswith("tradingd_denials_total")}
    assert series == {f"tradingd_denials_total{{code={code}}}" for code in (*DENIAL_CODES, "OTHER")}
    assert found[f"tradingd_denials_total{{code={known}}}"] == 2
    assert found["tradingd_denials_total{code=OTHER}"] == 1


# ---- what they say -----------------------------------------------------------------------------------


def test_confidence_falls_into_the_buckets_of_the_specification(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    for confidence in (0.1, 0.65, 0.95):
        metrics.hear(MAKER.make(signal(confidence), 1))
    found = values(metrics)
    counts = [found[f"agent_confidence_bucket{{agent_id=analyst,le={bound}}}"] for bound in
              ("0.1", "0.3", "0.5", "0.7", "0.9", "+Inf")]
    assert counts == [1, 1, 1, 2, 2, 3]
    assert found["agent_confidence_sum{agent_id=analyst}"] == pytest.approx(1.7)


def test_round_trips_are_counted_by_result(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    metrics.hear(daemon.fact(ledger.PositionOpened(BTC, D(1), D(100), ClientOrderId("a"))))
    for profit in (5, 7, -1, 0):
        body = ledger.PositionClosed(BTC, D(1), D(100), D(100), D(profit), D(0), 1, 2, ClientOrderId("a"))
        metrics.hear(daemon.fact(body))
    found = values(metrics)
    assert found["trades_total{result=opened,side=buy}"] == 1
    assert [found[f"trades_total{{result={each},side=sell}}"] for each in ("win", "loss", "even")] == [2, 1, 1]
    assert found["tradingd_win_ratio"] == 0.5


def test_a_fill_tells_its_slippage_and_its_time(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    filled(daemon, metrics, "buy")
    found = values(metrics)
    assert found["tradingd_slippage_ratio_bucket{le=0.0005}"] == 0
    assert found["tradingd_slippage_ratio_bucket{le=0.001}"] == 1
    assert found["tradingd_fill_duration_seconds_sum"] == pytest.approx(1.0)
    assert found["tradingd_fills_total"] == 1


def test_a_position_without_a_stop_is_unprotected_by_the_second(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    daemon.fact(ledger.PositionOpened(BTC, D(1), D(100), ClientOrderId("a")))
    metrics.sample(1.0)
    metrics.sample(2.5)
    assert metrics.unprotected() == (BTC,)
    stop = orders.SubmitOrder(ClientOrderId("s"), BTC, "sell", "stop", D(1), "protective", stop_price=D(90))
    daemon.fact(orders.OrderInitialized(stop))
    metrics.sample(1.0)
    found = values(metrics)
    assert found["tradingd_unprotected_seconds_total"] == 3.5
    assert found["tradingd_unprotected_positions"] == 0


def exit_of(name: str, quantity: str, *, kind: Any = "stop", parent: str = "", tag: str = "") -> object:
    trail = orders.TrailSpec("percent", D("0.02")) if kind == "trailing" else None
    return orders.OrderInitialized(orders.SubmitOrder(
        ClientOrderId(name), BTC, "sell", kind, D(quantity), "protective", parent_id=ClientOrderId(parent), tag=tag,
        stop_price=D(90) if trail is None else None, trail=trail,
    ))


def resting(name: str, quantity: str) -> tuple[object, ...]:
    """A disaster stop at the venue."""
    order_id = ClientOrderId(name)
    return exit_of(name, quantity, tag="disaster"), orders.OrderSubmitted(
        order_id, BTC, "stop_limit", D(quantity), D(88), D(100),
    )


@pytest.mark.parametrize(("exits", "is_bare"), [
    ([exit_of("a", "0.9")], True),
    ([exit_of("a", "0.96")], False),
    ([exit_of("a", "0.5"), exit_of("b", "0.46")], False),
    # A stop and a trail around one entry sell the same coins.
    ([exit_of("e-s", "0.5", parent="e", tag="stop"),
      exit_of("e-x", "0.5", kind="trailing", parent="e", tag="trail")], True),
    ([exit_of("e-s", "0.5", parent="e", tag="stop"), exit_of("f-s", "0.5", parent="f", tag="stop")], False),
    # So do a grid's floor and its levels, and the disaster stop and the stops that are held here.
    ([exit_of("1", "0.3", kind="trailing", parent="grid-g1-L1", tag="grid-g1-L1"),
      exit_of("2", "0.3", kind="trailing", parent="grid-g1-L-2", tag="grid-g1-L-2"),
      exit_of("3", "0.6", parent="grid-g1-floor", tag="grid-g1-floor")], True),
    ([exit_of("e-s", "0.5", parent="e", tag="stop"), *resting("d", "0.5")], True),
    ([exit_of("e-s", "0.5", parent="e", tag="stop"), *resting("d", "1")], False),
    ([*resting("d1", "0.5"), *resting("d2", "0.5")], False),
    ([exit_of("t", "1", kind="take_profit")], True),
])
def test_a_position_is_unprotected_as_long_as_more_than_a_little_of_it_is_covered_by_nothing(
    daemon: SmallDaemon, exits: list[object], is_bare: bool,
) -> None:
    daemon.fact(ledger.PositionOpened(BTC, D(1), D(100), ClientOrderId("e")))
    for body in exits:
        daemon.fact(body)
    assert Metrics(daemon).unprotected() == ((BTC,) if is_bare else ())


@pytest.mark.parametrize(("action", "by", "at_venue", "is_bare"), [
    ("halt", "ann", "0.5", True), ("cancel", "ann", "1", False), ("flatten", "ann", "0.5", False),
    ("cancel", system.BY_RULE, "0.5", False),
])
def test_exits_that_a_kill_holds_back_protect_nothing(
    daemon: SmallDaemon, action: Any, by: str, at_venue: str, is_bare: bool,
) -> None:
    daemon.fact(ledger.PositionOpened(BTC, D(1), D(100), ClientOrderId("e")))
    for body in (exit_of("e-s", "1", parent="e", tag="stop"), *resting("d", at_venue)):
        daemon.fact(body)
    daemon.fact(system.KillSwitchEngaged(action, "x", by))
    assert Metrics(daemon).unprotected() == ((BTC,) if is_bare else ())


def test_what_a_stop_has_sold_covers_nothing_any_more(daemon: SmallDaemon) -> None:
    daemon.fact(ledger.PositionOpened(BTC, D(1), D(100), ClientOrderId("e")))
    for body in resting("d", "1"):
        daemon.fact(body)
    daemon.fact(orders.OrderFilled(
        ClientOrderId("d"), BTC, "sell", TradeId("1"), D("0.5"), D(88), D(0), "USDT", D("0.5"), False, False, True,
    ))
    assert Metrics(daemon).unprotected() == (BTC,)  # more of it was bought meanwhile


def test_the_kill_switch_and_the_state_are_numbers(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    daemon.fact(system.KillSwitchEngaged("halt", "x", "ann"))
    found = values(metrics)
    assert found["tradingd_kill_engaged"] == 1
    assert found["tradingd_trading_state{state=ACTIVE}"] == 1
    assert found["tradingd_trading_state{state=HALTED}"] == 0


def test_a_collector_of_opentelemetry_gets_the_same_numbers(daemon: SmallDaemon) -> None:
    metrics = Metrics(daemon)
    for confidence in (0.1, 0.65, 0.95):
        metrics.hear(MAKER.make(signal(confidence), 1))
    sent = to_otlp(metrics.families(), 1, 2)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    by_name: dict[str, Any] = {each["name"]: each for each in sent}
    assert set(by_name) <= set(BY_NAME)
    assert by_name["tradingd_fills_total"]["sum"]["isMonotonic"] is True
    (analyst,) = [
        point for point in by_name["agent_confidence"]["histogram"]["dataPoints"]
        if point["attributes"][0]["value"]["stringValue"] == "analyst"
    ]
    assert analyst["bucketCounts"] == ["1", "0", "0", "1", "0", "1"]
    assert analyst["explicitBounds"] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert analyst["count"] == "3"
    json.dumps(sent)


# ---- who may ask -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("access", "host", "wanted"), [
    ("auto", "127.0.0.1", False), ("auto", "0.0.0.0", True), ("open", "0.0.0.0", False), ("token", "::1", True),
])
def test_a_token_is_needed_when_others_can_ask(access: Any, host: str, wanted: bool) -> None:
    settings = Settings(api=ApiSettings(host=host), metrics=MetricsSettings(access=access))
    assert needs_token(settings) is wanted


def test_metrics_are_served_as_text(tmp_path: Path) -> None:
    from urllib.request import urlopen

    from tests.tradingd.small_daemon import served

    with served(SmallDaemon(settings_in(tmp_path)), Auth.open(tmp_path)) as url, urlopen(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"tradingd_ready 1.0" in answer.read()


def test_without_a_token_nothing_is_told_when_one_is_wanted(tmp_path: Path) -> None:
    from tests.tradingd.small_daemon import served

    settings = Settings(data_dir=tmp_path, metrics=MetricsSettings(access="token"))
    with served(SmallDaemon(settings), Auth.open(tmp_path)) as url:
        with pytest.raises(AnswerError) as caught:
            Client(url).get("/metrics")
        assert caught.value.status == 401
        with pytest.raises(AnswerError, match="not JSON"):  # text, so it was served
            Client(url, mint_token(tmp_path, "viewer", "viewer")).get("/metrics")
