"""Every metric there is: name, type, labels, meaning. What is not here is not exposed; docs/metrics.md says the same.

Names and units follow Prometheus' rules (prometheus.io/docs/practices/naming). Three names without our prefix are
those that dashboards of this kind expect.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram", "untyped"]
CONFIDENCE_BUCKETS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
SLIPPAGE_BUCKETS: Final = (-0.005, -0.001, 0.0, 0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05)
FILL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `labels` have closed sets of values; `buckets` are upper bounds, for histograms only."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CATALOGUE: Final = (
    Metric("trading_pnl_total", "untyped", "Net profit in quote currency, after fees, open positions included"),
    Metric("trades_total", "counter", "Positions opened, and round trips by result", ("side", "result")),
    Metric("agent_confidence", "histogram", "Confidence of signals (analyst) and proposals (strategy)",
           ("agent_id",), CONFIDENCE_BUCKETS),
    Metric("tradingd_build_info", "gauge", "Always 1; what runs", ("version", "mode", "venue")),
    Metric("tradingd_ready", "gauge", "1 when reconciled, connected and taking commands"),
    Metric("tradingd_uptime_seconds", "gauge", "Since the process started"),
    Metric("tradingd_trading_state", "gauge", "1 for the state that holds", ("state",)),
    Metric("tradingd_kill_engaged", "gauge", "1 while the kill switch is latched"),
    Metric("tradingd_problems", "gauge", "What is wrong right now, as many as status names"),
    Metric("tradingd_equity_quote", "gauge", "Equity in quote currency"),
    Metric("tradingd_available_quote", "gauge", "Cash not held by entries, in quote currency"),
    Metric("tradingd_exposure_quote", "gauge", "Positions and unfilled entries, in quote currency"),
    Metric("tradingd_realized_pnl_quote", "gauge", "Realised profit after fees, in quote currency"),
    Metric("tradingd_unrealized_pnl_quote", "gauge", "Profit of open positions, in quote currency"),
    Metric("tradingd_fees_quote", "gauge", "Fees of all closed round trips, in quote currency"),
    Metric("tradingd_drawdown_ratio", "gauge", "Fall of equity from its peak", ("period",)),
    Metric("tradingd_win_ratio", "gauge", "Share of round trips that won; absent before the first"),
    Metric("tradingd_sharpe_ratio", "gauge", "As in /api/performance; absent before there is one"),
    Metric("tradingd_positions", "gauge", "Open positions"),
    Metric("tradingd_unprotected_positions", "gauge", "Open positions that stops and trails cover by less than 95 %"),
    Metric("tradingd_unprotected_seconds_total", "counter", "Seconds of positions without protection, in sum"),
    Metric("tradingd_working_orders", "gauge", "Orders that are not ended"),
    Metric("tradingd_unknown_orders", "gauge", "Orders sent without an answer"),
    Metric("tradingd_orders_total", "counter", "Ended orders by outcome", ("outcome",)),
    Metric("tradingd_fills_total", "counter", "Executions"),
    Metric("tradingd_denials_total", "counter", "Orders refused by our rules since the start", ("code",)),
    Metric("tradingd_vetoes_total", "counter", "Proposals the risk officer refused since the start", ("code",)),
    Metric("tradingd_proposals_total", "counter", "Proposals by verdict", ("verdict",)),
    Metric("tradingd_slippage_ratio", "histogram", "Of filled orders against the market at their sending, + is worse",
           (), SLIPPAGE_BUCKETS),
    Metric("tradingd_fill_duration_seconds", "histogram", "From sending an order to its last fill", (), FILL_BUCKETS),
    Metric("tradingd_data_age_seconds", "gauge", "Since the last market data; absent before the first"),
    Metric("tradingd_feed_up", "gauge", "1 while it is connected: market data, live also our own orders", ("feed",)),
    Metric("tradingd_feed_messages_total", "counter", "Frames received", ("feed",)),
    Metric("tradingd_feed_reconnects_total", "counter", "Times it had to be connected anew", ("feed",)),
    Metric("tradingd_feed_gaps_total", "counter", "Gaps found in trades and books", ("feed",)),
    Metric("tradingd_bus_up", "gauge", "1 while the bus is connected"),
    Metric("tradingd_bus_published_total", "counter", "Messages given to the bus"),
    Metric("tradingd_bus_dropped_total", "counter", "Messages the bus had to drop"),
    Metric("tradingd_bus_gaps_total", "counter", "Losses noticed on the bus"),
    Metric("tradingd_agent_up", "gauge", "1 while the agent runs", ("agent_id",)),
    Metric("tradingd_agent_restarts_total", "counter", "Times the agent was begun anew", ("agent_id",)),
    Metric("tradingd_agent_handled_total", "counter", "Messages the agent handled", ("agent_id",)),
    Metric("tradingd_agent_dropped_total", "counter", "Messages the agent could not take", ("agent_id",)),
    Metric("tradingd_agent_queued", "gauge", "Messages that wait for the agent", ("agent_id",)),
    Metric("tradingd_loop_lag_seconds", "histogram", "How late the event loop came to its once-a-second timer",
           (), LAG_BUCKETS),
    Metric("tradingd_alerts_sent_total", "counter", "Alerts delivered", ("channel",)),
    Metric("tradingd_alerts_failed_total", "counter", "Deliveries that failed, tries counted", ("channel",)),
    Metric("tradingd_alerts_dropped_total", "counter", "Alerts that were given up", ("channel",)),
    Metric("tradingd_alerts_waiting", "gauge", "Alerts that wait", ("channel",)),
    Metric("tradingd_alerts_suppressed_total", "counter", "Repeated alerts that were only counted"),
    Metric("tradingd_telegram_commands_total", "counter", "Telegram messages: carried out, or why not", ("outcome",)),
    Metric("tradingd_secrets_due", "gauge", "Secrets of the encrypted file older than secrets.rotate_after_days"),
    Metric("process_resident_memory_bytes", "gauge", "Memory in use"),
    Metric("process_cpu_seconds_total", "counter", "User and system time"),
    Metric("process_open_fds", "gauge", "Open file descriptors"),
    Metric("process_start_time_seconds", "gauge", "Start of the process, seconds since 1970"),
)
BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}
