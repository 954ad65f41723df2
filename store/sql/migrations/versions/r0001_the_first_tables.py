"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from store.sql.column_types import Exact

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "agent_decisions",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False), sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False), sa.Column("side", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False), sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False), sa.Column("lead_alpha", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False), sa.Column("regime", sa.Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=True), sa.Column("allowed_quantity", Exact(), nullable=True),
        sa.Column("reference_price", Exact(), nullable=True), sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("volatility", sa.Float(), nullable=True), sa.Column("volume_ratio", sa.Float(), nullable=True),
        sa.Column("votes", DOCUMENT, nullable=True), sa.Column("checks", DOCUMENT, nullable=True),
        sa.Column("made_ns", sa.BigInteger(), nullable=False),
        sa.Column("settled_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "decision_id", name=op.f("pk_agent_decisions")),
    )
    op.create_index(op.f("ix_agent_decisions_account_made_ns"), "agent_decisions", ["account", "made_ns"])

    op.create_table(
        "agent_states",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False), sa.Column("error", sa.Text(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False), sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "agent", name=op.f("pk_agent_states")),
    )
    op.create_table(
        "backtest_runs",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("state", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False), sa.Column("error", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False), sa.Column("parameters", DOCUMENT, nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True), sa.Column("from_ns", sa.BigInteger(), nullable=False),
        sa.Column("to_ns", sa.BigInteger(), nullable=False), sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtest_runs")),
    )
    op.create_index(op.f("ix_backtest_runs_state"), "backtest_runs", ["state"])

    op.create_table(
        "candles",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False), sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("open", Exact(), nullable=False), sa.Column("high", Exact(), nullable=False),
        sa.Column("low", Exact(), nullable=False), sa.Column("close", Exact(), nullable=False),
        sa.Column("volume", Exact(), nullable=False), sa.Column("trades", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", "timeframe", "opened_ns", name=op.f("pk_candles")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False), sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False), sa.Column("equity", Exact(), nullable=True),
        sa.Column("cash", Exact(), nullable=True), sa.Column("exposure", Exact(), nullable=True),
        sa.Column("realized_profit", Exact(), nullable=True), sa.Column("unrealized_profit", Exact(), nullable=True),
        sa.Column("positions", DOCUMENT, nullable=True), sa.Column("ts_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "record", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "daily_statistics",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("day", sa.Text(), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False), sa.Column("wins", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False), sa.Column("breakevens", sa.Integer(), nullable=False),
        sa.Column("fills", sa.Integer(), nullable=False), sa.Column("profit", Exact(), nullable=False),
        sa.Column("fees", Exact(), nullable=False), sa.Column("net_flow", Exact(), nullable=False),
        sa.Column("opening_equity", Exact(), nullable=True), sa.Column("closing_equity", Exact(), nullable=True),
        sa.Column("drawdown", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", "day", name=op.f("pk_daily_statistics")),
    )
    op.create_table(
        "failed_orders",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False), sa.Column("failed_by", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False), sa.Column("family", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False), sa.Column("measured", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Text(), nullable=False), sa.Column("message", sa.Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=True), sa.Column("ts_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "record", name=op.f("pk_failed_orders")),
    )
    op.create_index(op.f("ix_failed_orders_account_ts_ns"), "failed_orders", ["account", "ts_ns"])

    op.create_table(
        "fills",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False), sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False), sa.Column("fee_asset", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False), sa.Column("lead_alpha", sa.Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False), sa.Column("price", Exact(), nullable=False),
        sa.Column("value", Exact(), nullable=False), sa.Column("fee", Exact(), nullable=False),
        sa.Column("is_maker", sa.Boolean(), nullable=False), sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("ts_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", "trade_id", name=op.f("pk_fills")),
    )
    op.create_index(op.f("ix_fills_account_ts_ns"), "fills", ["account", "ts_ns"])

    op.create_table(
        "indicators",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False), sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", "timeframe", "opened_ns", "name", name=op.f("pk_indicators")),
    )
    op.create_table(
        "logs",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False), sa.Column("source", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False), sa.Column("message", sa.Text(), nullable=False),
        sa.Column("ts_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "record", name=op.f("pk_logs")),
    )
    op.create_index(op.f("ix_logs_account_level_ts_ns"), "logs", ["account", "level", "ts_ns"])

    op.create_table(
        "news",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False), sa.Column("url", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False), sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("symbols", DOCUMENT, nullable=True), sa.Column("sentiment", sa.Float(), nullable=True),
        sa.Column("published_ns", sa.BigInteger(), nullable=False),
        sa.Column("fetched_ns", sa.BigInteger(), nullable=False), sa.PrimaryKeyConstraint("id", name=op.f("pk_news")),
    )
    op.create_index(op.f("ix_news_published_ns"), "news", ["published_ns"])
    op.create_index(op.f("ix_news_url"), "news", ["url"], unique=True)

    op.create_table(
        "optimizations",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("study", sa.Text(), nullable=False), sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False), sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True), sa.Column("parameters", DOCUMENT, nullable=True),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_optimizations")),
    )
    op.create_index(op.f("ix_optimizations_study_trial"), "optimizations", ["study", "trial"], unique=True)

    op.create_table(
        "orders",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False), sa.Column("side", sa.Text(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False), sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False), sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False), sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False), sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=False), sa.Column("venue_order_id", sa.Text(), nullable=False),
        sa.Column("lead_alpha", sa.Text(), nullable=False), sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=False), sa.Column("strategy_version", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False), sa.Column("replaces", sa.Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False), sa.Column("filled", Exact(), nullable=False),
        sa.Column("value", Exact(), nullable=False), sa.Column("fees", Exact(), nullable=False),
        sa.Column("price", Exact(), nullable=True), sa.Column("stop_price", Exact(), nullable=True),
        sa.Column("average_price", Exact(), nullable=True), sa.Column("reference_price", Exact(), nullable=True),
        sa.Column("stop_ratio", Exact(), nullable=True), sa.Column("take_profit_ratio", Exact(), nullable=True),
        sa.Column("reduce_only", sa.Boolean(), nullable=False), sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("volatility", sa.Float(), nullable=True), sa.Column("volume_ratio", sa.Float(), nullable=True),
        sa.Column("trail", DOCUMENT, nullable=True), sa.Column("votes", DOCUMENT, nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("submitted_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "order_id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_account_state"), "orders", ["account", "state"])
    op.create_index(op.f("ix_orders_account_symbol_created_ns"), "orders", ["account", "symbol", "created_ns"])

    op.create_table(
        "parameter_versions",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False), sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parameters", DOCUMENT, nullable=True), sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parameter_versions")),
    )
    op.create_index(op.f("ix_parameter_versions_name_version"), "parameter_versions", ["name", "version"], unique=True)

    op.create_table(
        "patterns",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("pattern_type", sa.Text(), nullable=False), sa.Column("conditions", DOCUMENT, nullable=True),
        sa.Column("sample_size", sa.Integer(), nullable=False), sa.Column("win_rate", sa.Float(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False), sa.Column("average_profit", Exact(), nullable=False),
        sa.Column("pairs", DOCUMENT, nullable=True), sa.Column("timeframes", DOCUMENT, nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("discovered_ns", sa.BigInteger(), nullable=False),
        sa.Column("validated_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patterns")),
    )
    op.create_index(op.f("ix_patterns_is_active_confidence"), "patterns", ["is_active", "confidence"])

    op.create_table(
        "phase_executions",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False), sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False), sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("details", DOCUMENT, nullable=True), sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phase_executions")),
    )
    op.create_table(
        "positions",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("entry_order_id", sa.Text(), nullable=False), sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=False), sa.Column("lead_alpha", sa.Text(), nullable=False),
        sa.Column("strategy_version", sa.Text(), nullable=False), sa.Column("quantity", Exact(), nullable=False),
        sa.Column("average_price", Exact(), nullable=False), sa.Column("stop_price", Exact(), nullable=True),
        sa.Column("target_price", Exact(), nullable=True), sa.Column("volatility", sa.Float(), nullable=True),
        sa.Column("volume_ratio", sa.Float(), nullable=True), sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", name=op.f("pk_positions")),
    )
    op.create_table(
        "projections",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("journal", sa.Text(), nullable=False),
        sa.Column("record", sa.BigInteger(), nullable=False), sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("first_check", sa.BigInteger(), nullable=False),
        sa.Column("last_check", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_projections")),
    )
    op.create_table(
        "round_trips",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False), sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False), sa.Column("entry_order_id", sa.Text(), nullable=False),
        sa.Column("exit_order_id", sa.Text(), nullable=False), sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=False), sa.Column("lead_alpha", sa.Text(), nullable=False),
        sa.Column("strategy_version", sa.Text(), nullable=False), sa.Column("session", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False), sa.Column("quantity", Exact(), nullable=False),
        sa.Column("entry_price", Exact(), nullable=False), sa.Column("exit_price", Exact(), nullable=False),
        sa.Column("profit", Exact(), nullable=False), sa.Column("fees", Exact(), nullable=False),
        sa.Column("stop_price", Exact(), nullable=True), sa.Column("target_price", Exact(), nullable=True),
        sa.Column("return_ratio", sa.Float(), nullable=True), sa.Column("r_multiple", sa.Float(), nullable=True),
        sa.Column("volatility", sa.Float(), nullable=True), sa.Column("volume_ratio", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True), sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "record", name=op.f("pk_round_trips")),
    )
    op.create_index(op.f("ix_round_trips_account_result"), "round_trips", ["account", "result"])
    op.create_index(
        op.f("ix_round_trips_account_symbol_timeframe"), "round_trips", ["account", "symbol", "timeframe"]
    )

    op.create_table(
        "sessions",
        sa.Column("account", sa.Text(), nullable=False), sa.Column("session", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False), sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False), sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("symbols", DOCUMENT, nullable=True), sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("stopped_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "session", name=op.f("pk_sessions")),
    )
    op.create_table(
        "strategies",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False), sa.Column("description", sa.Text(), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False), sa.Column("win_rate", sa.Float(), nullable=True),
        sa.Column("profit_factor", sa.Float(), nullable=True), sa.Column("sharpe", sa.Float(), nullable=True),
        sa.Column("max_drawdown", sa.Float(), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategies")),
    )
    op.create_index(op.f("ix_strategies_name_version"), "strategies", ["name", "version"], unique=True)
    op.create_index(op.f("ix_strategies_state_profit_factor"), "strategies", ["state", "profit_factor"])

    op.create_table(
        "tasks",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False), sa.Column("state", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False), sa.Column("error", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False), sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("payload", DOCUMENT, nullable=True), sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("not_before_ns", sa.BigInteger(), nullable=False),
        sa.Column("taken_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=False), sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    op.create_index(op.f("ix_tasks_state_priority_id"), "tasks", ["state", "priority", "id"])

    op.create_table(
        "backtest_results",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("run_id", NUMBER, nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False), sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False), sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("profit", Exact(), nullable=False), sa.Column("fees", Exact(), nullable=False),
        sa.Column("win_rate", sa.Float(), nullable=True), sa.Column("profit_factor", sa.Float(), nullable=True),
        sa.Column("sharpe", sa.Float(), nullable=True), sa.Column("max_drawdown", sa.Float(), nullable=True),
        sa.Column("details", DOCUMENT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["backtest_runs.id"], name=op.f("fk_backtest_results_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtest_results")),
    )
    op.create_table(
        "strategy_configs",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("strategy_id", NUMBER, nullable=False), sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False), sa.Column("parameters", DOCUMENT, nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["strategy_id"], ["strategies.id"], name=op.f("fk_strategy_configs_strategy_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategy_configs")),
    )
    op.create_table(
        "walk_forward_windows",
        sa.Column("id", NUMBER, sa.Identity(always=False), nullable=False),
        sa.Column("run_id", NUMBER, nullable=False), sa.Column("window", sa.Integer(), nullable=False),
        sa.Column("train_from_ns", sa.BigInteger(), nullable=False),
        sa.Column("train_to_ns", sa.BigInteger(), nullable=False),
        sa.Column("test_from_ns", sa.BigInteger(), nullable=False),
        sa.Column("test_to_ns", sa.BigInteger(), nullable=False), sa.Column("train_score", sa.Float(), nullable=True),
        sa.Column("test_score", sa.Float(), nullable=True), sa.Column("parameters", DOCUMENT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["backtest_runs.id"], name=op.f("fk_walk_forward_windows_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_walk_forward_windows")),
    )
    op.create_index(
        op.f("ix_walk_forward_windows_run_id_window"), "walk_forward_windows", ["run_id", "window"], unique=True,
    )



def downgrade() -> None:
    """Back."""
    op.drop_table("walk_forward_windows")
    op.drop_table("strategy_configs")
    op.drop_table("backtest_results")
    op.drop_table("tasks")
    op.drop_table("strategies")
    op.drop_table("sessions")
    op.drop_table("round_trips")
    op.drop_table("projections")
    op.drop_table("positions")
    op.drop_table("phase_executions")
    op.drop_table("patterns")
    op.drop_table("parameter_versions")
    op.drop_table("orders")
    op.drop_table("optimizations")
    op.drop_table("news")
    op.drop_table("logs")
    op.drop_table("indicators")
    op.drop_table("fills")
    op.drop_table("failed_orders")
    op.drop_table("daily_statistics")
    op.drop_table("checkpoints")
    op.drop_table("candles")
    op.drop_table("backtest_runs")
    op.drop_table("agent_states")
    op.drop_table("agent_decisions")
