"""What people call faults and what they befall, made one: synonyms, ids of the list of faults, targets."""

import difflib
import re
from typing import Final

SYMBOLS: Final = ("BTC/USDT", "ETH/USDT")
AGENTS: Final = ("ceo", "scanner", "analyst", "strategy", "risk", "trader")

_NAMES: Final[dict[str, str]] = {
    # name: other names. An id (F01) names the first fault that has it.
    "timeout_before": "f15 timeout request_lost order_lost lost_request timeout_before_accept "
    "timeout_before_acceptance order_timeout create_timeout exchange_timeout network_timeout submit_timeout "
    "drop_request",
    "timeout_after_accept": "f14 ack_lost lost_ack timeout_after timeout_after_acceptance order_ack_lost drop_ack "
    "lose_ack answer_lost response_lost timeout_accepted drop_response",
    "http_5xx": "f16 5xx http_500 http_502 http_503 http_504 500 502 503 server_error exchange_error "
    "internal_server_error order_5xx error_5xx error",
    "rate_limit": "f17 f18 429 418 http_429 ban banned ip_ban throttle throttled rate_limited too_many_requests",
    "bad_key": "f19 invalid_key key_refused auth_error auth_failure unauthorized http_401 401 403 bad_api_key "
    "key_revoked invalid_api_key",
    "clock_skew": "f20 timestamp_refused skew clock_drift time_skew drift recv_window",
    "slow": "latency delay lag slow_network slow_exchange high_latency network_delay network_latency slow_answers",
    "maintenance": "f34 exchange_maintenance exchange_halt trading_halt exchange_halted venue_maintenance "
    "exchange_down venue_down cancel_only",
    "trading_down": "f55 trading_api_down api_down order_api_down rest_down orders_down private_api_down",
    "network_down": "f56 dns dns_failure tls tls_failure network_partition partition network_outage offline "
    "disconnect_all no_network half_open ipv6 network_loss network_cut connection_reset unreachable flap "
    "packet_loss",
    "cancel_lost": "f26 cancel_ack_lost cancel_timeout lost_cancel cancel_unanswered",
    "cancel_race": "f25 cancel_fill_race cancel_races_fill fill_cancel_race fill_during_cancel cancel_reject "
    "cancel_rejected",
    "stream_down": "user_stream_down user_stream_cut user_stream_disconnect order_stream_down fills_down "
    "user_data_stream_down stream_lost executions_down",
    "fill_lost": "f24 lost_fill missed_fill fill_missed fill_dropped drop_fill lose_fill missing_fill execution_lost",
    "fill_duplicate": "f23 duplicate_fill fill_duplicated double_fill duplicate_fills duplicate_execution fill_twice "
    "duplicate_reports",
    "overfill": "f28 over_fill filled_too_much",
    "reorder": "f22 fill_before_ack reorder_reports out_of_order_fills reports_reordered fills_reordered "
    "out_of_order_reports",
    "partial": "f21 f31 partial_fill partial_fills partial_then_disconnect dust",
    "not_found_early": "f27 not_found order_not_found not_found_after_create eventual_consistency",
    "stop_refused": "f29 stop_rejected stop_order_refused stop_order_rejected reject_stop stop_reject",
    "feed_down": "f01 feed_disconnect feed_closed feed_cut disconnect socket_closed websocket_closed ws_disconnect "
    "market_data_down feed_lost feed_drop market_down feed_disconnected websocket_disconnect connection_lost reconnect "
    "websocket_down ws_down websocket_close ws_close down close closed",
    "mute": "f02 feed_mute stale stale_feed feed_stale frozen_feed feed_frozen silent silence stale_data feed_silent "
    "freeze stall_feed",
    "quiet": "f03 quiet_market no_trades market_quiet",
    "reorder_ticks": "f04 out_of_order ticks_out_of_order out_of_order_ticks reorder_feed shuffle",
    "duplicate_ticks": "f05 duplicate duplicates duplicated_ticks duplicate_frames tick_duplicate duplicate_feed "
    "duplicate_messages",
    "gap": "f06 sequence_gap feed_gap missing_sequence book_gap gap_in_sequence",
    "crossed": "f07 crossed_book crossed_quote",
    "nan": "f08 nan_price bad_price zero_price negative_price infinite_price invalid_price x100 absurd_price "
    "invalid_tick nan_tick zero negative infinite price_x100 garbage",
    "bad_tick": "f09 spike price_spike outlier single_bad_tick bad_print lone_spike tick_spike",
    "crash": "f10 f30 price_crash flash_crash market_crash gap_down stop_jumped stop_limit_jumped price_drop drop "
    "price_gap true_crash fall",
    "rally": "gap_up price_jump surge",
    "malformed": "f11 malformed_frame malformed_json bad_json huge_frame invalid_frame unknown_field big_frame corrupt "
    "corrupt_frame",
    "new_rules": "f12 tick_size_change instrument_change filters_changed rules_change min_notional_change "
    "tick_size instrument_changed",
    "halted": "symbol_halted symbol_halt delisted halt_symbol symbol_delisted delist instrument_halted trading_halted",
    "kill_idle": "f39 kill kill_9 kill9 sigkill process_kill crash_process process_crash process_killed die "
    "process_death daemon_kill daemon_crash restart process_restart kill_process exit oom out_of_memory oom_killed",
    "kill_before_journal": "crash_before_journal kill_before_write before_journal",
    "kill_after_journal": "crash_after_journal kill_after_write after_journal",
    "kill_before_send": "crash_before_send before_send kill_mid_send",
    "kill_after_send": "crash_after_send after_send kill_before_ack kill_after_submit",
    "kill_on_report": "crash_on_report kill_on_fill kill_on_ack kill_after_ack crash_on_fill on_report",
    "crash_loop": "f40 restart_loop boot_loop",
    "stop": "f57 sigterm shutdown graceful_stop terminate term graceful_shutdown",
    "power_cut": "f41 power_loss power_failure torn_write torn_tail torn torn_journal power machine_crash reset "
    "journal_torn torn_journal_tail power_off",
    "bit_flip": "journal_corruption bitflip corrupt_journal journal_bit_flip corruption flip",
    "fsync_error": "f42 fsync fsync_fail fsync_failure fsync_failed io_error eio disk_error write_error flush_error",
    "disk_full": "f43 enospc no_space full disk_no_space out_of_space",
    "bus_down": "f44 f45 redis_down redis redis_lost bus_lost redis_disconnect bus_disconnect redis_flushed sql_down "
    "postgres_down postgresql_down database_down db_down store_down sql_slow redis_slow",
    "bus_loss": "f46 subscriber_cut_off bus_drop redis_drop message_loss lost_messages subscriber_slow",
    "forged": "f47 forged_message malformed_message forged_order bus_forged injected_message inject malformed_bus",
    "clock_jump": "f48 jump time_jump clock_step clock_forward ntp_step jump_forward step",
    "sleep": "f49 suspend machine_sleep asleep vm_pause suspended machine_asleep hibernate",
    "stall": "f13 loop_blocked blocked_loop slow_consumer event_loop_blocked loop_stall pause_process gc_pause block "
    "hang freeze_process blocked sigstop",
    "second_daemon": "f51 f52 two_daemons second_instance double_start duplicate_daemon mixed_versions split_brain",
    "agent_dies": "f53 agent_crash agent_down agent_killed agent_stuck agent_fails task_dies agent_death agent_silent "
    "kill_agent agent_kill agent_hang agent_exception",
    "risk_agent_dies": "f54 risk_dead risk_agent_dead risk_down risk_officer_dead risk_agent_down risk_silent "
    "risk_agent_crash risk_officer_dies kill_risk_agent",
    "fat_finger": "f35 absurd_order huge_order",
    "runaway": "f36 runaway_strategy order_flood flood",
    "replayed": "f37 f60 replayed_intent duplicate_intent duplicate_command replay_command replayed_command "
    "replayed_request replay resend duplicate_order",
    "kill_halt": "f58 kill_switch halt kill_switch_halt engage_kill press_kill emergency_stop panic lock engage",
    "kill_cancel": "kill_switch_cancel cancel_all",
    "kill_flatten": "f59 kill_switch_flatten flatten close_all liquidate kill_switch_unreachable",
    "unlock": "release release_kill kill_switch_release kill_release",
    "pause": "operator_pause reduce stop_entries stop_trading",
    "resume": "operator_resume start_trading",
    "deposit": "f32 balance_up funds_in balance_differs balance_mismatch balance_change",
    "withdrawal": "withdraw balance_down funds_out",
    "foreign_order": "f33 foreign_trade manual_order manual_buy foreign",
    "sold_by_hand": "f72 manual_sell manual_action manual_trade",
    "cancelled_by_hand": "manual_cancel cancelled_at_exchange stop_cancelled foreign_cancel external_cancel",
}
_NAME_BY_WORD: Final = {word: name for name, words in _NAMES.items() for word in (name, *words.split())}

_BEFALLEN: Final = frozenset({
    "all", "any", "exchange", "venue", "network", "disk", "clock", "process", "daemon", "operator", "person",
    "people", "user", "orders", "order", "feed", "market", "data", "market_data", "stream", "user_stream", "journal",
    "bus", "redis", "sql", "postgres", "agents", "agent", "position", "account", "kill_switch", "engine", "machine",
    "rest", "api", "websocket", "ws", "book", "ticks", "trades", "quotes", "none", "loop", "store", "database",
    "self", "host", "system", "symbol", "tradingd", "command", "commands", "create", "cancel", "query", "request",
    "requests", "messages", "message", "fills", "fill",
})
"""What a fault may befall as a whole: a target that chooses nothing within it."""

_BY_PLACE: Final[dict[tuple[str, str], str]] = {
    ("kill", "operator"): "kill_halt", ("kill", "kill_switch"): "kill_halt", ("kill", "risk"): "risk_agent_dies",
    ("kill", "person"): "kill_halt", ("kill", "agent"): "agent_dies", ("kill", "agents"): "agent_dies",
    ("down", "exchange"): "network_down", ("down", "venue"): "network_down",
    ("down", "network"): "network_down", ("down", "orders"): "trading_down", ("down", "rest"): "trading_down",
    ("down", "user_stream"): "stream_down", ("down", "bus"): "bus_down", ("down", "redis"): "bus_down",
    ("disconnect", "user_stream"): "stream_down", ("disconnect", "network"): "network_down",
    ("disconnect", "exchange"): "network_down", ("disconnect", "redis"): "bus_down", ("disconnect", "bus"): "bus_down",
    ("drop", "network"): "network_down", ("drop", "bus"): "bus_loss", ("drop", "feed"): "feed_down",
    ("duplicate", "fill"): "fill_duplicate", ("duplicate", "fills"): "fill_duplicate",
    ("timeout", "cancel"): "cancel_lost", ("timeout", "query"): "trading_down",
    ("duplicate", "orders"): "fill_duplicate", ("duplicate", "user_stream"): "fill_duplicate",
    ("reorder", "feed"): "reorder_ticks", ("reorder", "market"): "reorder_ticks", ("reorder", "ticks"): "reorder_ticks",
    ("gap", "market"): "gap", ("crash", "process"): "kill_idle", ("crash", "daemon"): "kill_idle",
    ("crash", "agent"): "agent_dies", ("error", "disk"): "fsync_error", ("slow", "disk"): "stall",
    ("jump", "market"): "rally", ("stall", "feed"): "mute", ("pause", "process"): "stall", ("pause", "daemon"): "stall",
    ("stop", "exchange"): "maintenance", ("stop", "venue"): "maintenance", ("stop", "market"): "quiet",
    ("stop", "operator"): "pause", ("halt", "exchange"): "maintenance", ("halt", "venue"): "maintenance",
    ("halt", "market"): "maintenance", ("halt", "symbol"): "halted", ("corrupt", "journal"): "bit_flip",
    ("corrupt", "disk"): "bit_flip", ("freeze", "process"): "stall", ("freeze", "daemon"): "stall",
    ("delay", "feed"): "mute", ("latency", "feed"): "mute", ("lag", "process"): "stall", ("lag", "loop"): "stall",
    ("silence", "agent"): "agent_dies", ("silent", "agent"): "agent_dies", ("lost", "bus"): "bus_loss",
    ("loss", "bus"): "bus_loss", ("loss", "network"): "network_down", ("skew", "clock"): "clock_skew",
    ("drift", "clock"): "clock_skew", ("zero", "feed"): "nan", ("restart", "exchange"): "network_down",
    ("restart", "agent"): "agent_dies", ("down", "feed"): "feed_down", ("down", "disk"): "fsync_error",
    ("down", "agent"): "agent_dies", ("down", "risk"): "risk_agent_dies",
}


_IS_ID: Final = re.compile(r"f?[0-9]+")


class UnknownFaultError(ValueError):
    """Nothing is called so; the text names what comes near and all there is."""


class UnknownTargetError(ValueError):
    """Nothing can be befallen that is called so."""


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9/]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", text.strip()).lower()).strip("_")


def fault_named(text: str, target: str = "") -> tuple[str, str]:
    """The fault's own name, and the target as far as it was not part of the name; raises `UnknownFaultError`."""
    word, place = _plain(text), _plain(target)
    agent = next((each for each in AGENTS if place in (each, f"{each}_agent", f"{each}_officer", f"agent_{each}")), "")
    kind_of_place = agent if agent == "risk" else "agent" if agent else place
    by_place = _BY_PLACE.get((word, kind_of_place))
    if by_place is not None:
        return by_place, agent or (target if place not in _BEFALLEN else "")
    for tried in (word, f"{place}_{word}", f"{word}_{place}", f"{kind_of_place}_{word}"):
        name = _NAME_BY_WORD.get(tried)
        if name is not None:
            is_part = tried != word and not agent
            if name == "kill_idle" and agent:
                return ("risk_agent_dies" if agent == "risk" else "agent_dies"), agent
            if name == "agent_dies" and agent == "risk":
                name = "risk_agent_dies"
            return name, "" if is_part else target
    near = [] if _IS_ID.fullmatch(word) else difflib.get_close_matches(word, _NAME_BY_WORD, 3, 0.6)
    hint = f" Did you mean {' or '.join(sorted({_NAME_BY_WORD[each] for each in near}))}?" if near else ""
    if _IS_ID.fullmatch(word):
        hint = " No fault of this id can befall a daemon in virtual time: docs/simulator.md has those that can."
    raise UnknownFaultError(f"unknown fault {text!r}.{hint} Known: {', '.join(_NAMES)}.")


def target_named(text: str) -> str:
    """A symbol or an agent, "" for a whole; raises `UnknownTargetError`."""
    word = _plain(text)
    if not word or word in _BEFALLEN or word in _NAME_BY_WORD:
        return ""
    letters = re.sub(r"[^a-z0-9]", "", word)
    for symbol in SYMBOLS:
        base, quote = symbol.lower().split("/")
        if letters in (base, base + quote, f"{base}usd"):
            return symbol
    for agent in AGENTS:
        if word in (agent, f"{agent}_agent", f"{agent}_officer", f"agent_{agent}"):
            return agent
    raise UnknownTargetError(
        f"unknown target {text!r}. Write a symbol ({', '.join(SYMBOLS)}), an agent ({', '.join(AGENTS)}), "
        f"or what is befallen as a whole ({', '.join(sorted(_BEFALLEN))}); left out, everything is."
    )
