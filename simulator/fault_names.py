"""What people call faults and what they befall, made one: synonyms, ids of the list of faults, targets."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

from simulator.fault_places import PLACE_BY_WORD, fault_at, is_verb, known_at

SYMBOLS: Final = ("BTC/USDT", "ETH/USDT")
AGENTS: Final = ("ceo", "scanner", "analyst", "strategy", "risk", "trader")

_NAMES: Final[dict[str, str]] = {
    # name: other names. An id (F01) names the first fault that has it.
    "timeout_before": "f15 timeout request_lost order_lost lost_request timeout_before_accept "
    "timeout_before_acceptance order_timeout create_timeout exchange_timeout network_timeout submit_timeout "
    "drop_request "
    "connect_timeout connection_timeout timeout_on_create post_timeout timeout_unknown "
    "timeout_before_send rest_timeout",
    "timeout_after_accept": "f14 ack_lost lost_ack timeout_after timeout_after_acceptance order_ack_lost drop_ack "
    "lose_ack answer_lost response_lost timeout_accepted drop_response "
    "timeout_after_send lost_response ack_timeout response_timeout read_timeout order_timeout_after_accept "
    "create_timeout_after_accept",
    "http_5xx": "f16 5xx http_500 http_502 http_503 http_504 500 502 503 server_error exchange_error "
    "internal_server_error order_5xx error_5xx error "
    "5xx_on_create 503_unknown http_error server_5xx bad_gateway gateway_timeout",
    "rate_limit": "f17 f18 429 418 http_418 http_429 ban banned ip_ban throttle throttled rate_limited "
    "too_many_requests "
    "ban_418 ban_429 ban_with_retry_after rate_limit_exceeded rate_limit_hit "
    "429s retry_after ban_until ip_banned rate_limit_429 rate_limit_418",
    "bad_key": "f19 invalid_key key_refused auth_error auth_failure unauthorized http_401 401 403 bad_api_key "
    "key_revoked invalid_api_key "
    "auth bad_credentials api_key_revoked key_expired expired_key",
    "clock_skew": "f20 timestamp_refused skew clock_drift time_skew drift recv_window "
    "timestamp_error nonce_error clock_jump_back clock_jump_backward clock_back clock_backwards clock_step_back "
    "server_time_skew clock_skew_exchange ntp_slew",
    "slow": "latency delay lag slow_network slow_exchange high_latency network_delay network_latency slow_answers "
    "delayed_fill fill_delay late_fill late_fills jitter network_jitter latency_spike "
    "rest_slow",
    "maintenance": "f34 exchange_maintenance exchange_halt trading_halt exchange_halted venue_maintenance "
    "exchange_down venue_down cancel_only "
    "order_rejected reject rejects order_reject reject_order venue_reject maintenance_window venue_halt "
    "maintenance_mode exchange_offline venue_offline under_maintenance "
    "market_halt",
    "trading_down": "f55 trading_api_down api_down order_api_down rest_down orders_down private_api_down "
    "market_data_up_trading_down",
    "network_down": "f56 dns dns_failure tls tls_failure network_partition partition network_outage offline "
    "disconnect_all no_network half_open ipv6 network_loss network_cut connection_reset unreachable flap "
    "packet_loss "
    "dns_fail dns_error tls_error ssl_error tls_handshake half_open_connection packet_drop network_split "
    "network_flap network_flapping net_down internet_down connectivity_loss "
    "half_dead_ipv6 dead_ipv6 certificate_expired venue_unreachable exchange_unreachable",
    "cancel_lost": "f26 cancel_ack_lost cancel_timeout lost_cancel cancel_unanswered",
    "cancel_race": "f25 cancel_fill_race cancel_races_fill fill_cancel_race fill_during_cancel cancel_reject "
    "cancel_rejected "
    "cancel_vs_fill race_cancel_fill cancel_fill",
    "stream_down": "f21 user_stream_down user_stream_cut user_stream_disconnect order_stream_down fills_down "
    "user_data_stream_down stream_lost executions_down "
    "stream_disconnect stream_cut user_stream_lost half_open_stream "
    "listen_key_expired user_data_stream_lost",
    "fill_lost": "f24 lost_fill missed_fill fill_missed fill_dropped drop_fill lose_fill missing_fill execution_lost "
    "lost_fill_frame fill_loss",
    "fill_duplicate": "f23 duplicate_fill fill_duplicated double_fill duplicate_fills duplicate_execution fill_twice "
    "duplicate_reports",
    "overfill": "f28 over_fill filled_too_much "
    "overfilled",
    "reorder": "f22 fill_before_ack reorder_reports out_of_order_fills reports_reordered fills_reordered "
    "out_of_order_reports "
    "fill_before_accept ack_after_fill",
    "partial": "f31 partial_fill partial_fills dust "
    "dust_remainder",
    "not_found_early": "f27 not_found order_not_found not_found_after_create eventual_consistency "
    "not_found_on_query query_not_found unknown_order order_unknown "
    "not_found_just_after_create",
    "stop_refused": "f29 stop_rejected stop_order_refused stop_order_rejected reject_stop stop_reject",
    "feed_down": "f01 feed_disconnect feed_closed feed_cut disconnect socket_closed websocket_closed ws_disconnect "
    "market_data_down feed_lost feed_drop market_down feed_disconnected websocket_disconnect connection_lost reconnect "
    "websocket_down ws_down websocket_close ws_close down close closed "
    "ws_drop websocket_drop ws_reconnect socket_drop market_data_loss dropped_connection "
    "feed_socket_closed trading_up_data_down",
    "mute": "f02 feed_mute stale stale_feed feed_stale frozen_feed feed_frozen silent silence stale_data feed_silent "
    "freeze stall_feed "
    "mute_feed connected_but_mute feed_stall feed_latency market_data_stale stale_quotes quote_stale "
    "lag_spike stale_price "
    "feed_freeze stale_snapshot",
    "quiet": "f03 quiet_market no_trades market_quiet "
    "no_data",
    "reorder_ticks": "f04 out_of_order ticks_out_of_order out_of_order_ticks reorder_feed shuffle "
    "tick_reorder out_of_order_messages",
    "duplicate_ticks": "f05 duplicate duplicates duplicated_ticks duplicate_frames tick_duplicate duplicate_feed "
    "duplicate_messages",
    "gap": "f06 sequence_gap feed_gap missing_sequence book_gap gap_in_sequence "
    "data_gap data_loss order_book_gap seq_gap tick_gap missing_ticks lost_ticks dropped_ticks",
    "crossed": "f07 crossed_book crossed_quote "
    "crossed_market "
    "invalid_book",
    "nan": "f08 nan_price bad_price zero_price negative_price infinite_price invalid_price x100 absurd_price "
    "invalid_tick nan_tick zero negative infinite price_x100 garbage "
    "negative_quote inf_price nan_quote inf infinity "
    "absurd_size absurd_quantity",
    "bad_tick": "f09 spike price_spike outlier single_bad_tick bad_print lone_spike tick_spike "
    "fat_tick wick price_spike_down price_spike_up",
    "crash": "f10 f30 price_crash flash_crash market_crash gap_down stop_jumped stop_limit_jumped price_drop drop "
    "price_gap true_crash fall "
    "flash_crash_recover price_crash_10 stop_jump stop_gap stop_limit_gap "
    "stop_limit_jumped_over jumped_over dump",
    "rally": "gap_up price_jump surge "
    "flash_rally price_rally "
    "pump",
    "malformed": "f11 malformed_frame malformed_json bad_json huge_frame invalid_frame unknown_field big_frame corrupt "
    "corrupt_frame "
    "5mb_frame oversized_frame large_frame unknown_frame",
    "new_rules": "f12 tick_size_change instrument_change filters_changed rules_change min_notional_change "
    "tick_size instrument_changed "
    "min_notional lot_size_change filter_change "
    "minimum_changes minimum_change tick_change price_tick_change",
    "halted": "symbol_halted symbol_halt delisted halt_symbol symbol_delisted delist instrument_halted trading_halted "
    "symbol_delist instrument_delisted trading_suspended "
    "delisting",
    "kill_idle": "f39 kill kill_9 kill9 sigkill process_kill crash_process process_crash process_killed die "
    "process_death daemon_kill daemon_crash restart process_restart kill_process exit oom out_of_memory oom_killed "
    "hard_kill segfault oom_kill",
    "kill_before_journal": "crash_before_journal kill_before_write before_journal kill_during_cancel_replace "
    "kill_cancel_replace kill_during_rearm kill_during_stop_rearm",
    "kill_after_journal": "crash_after_journal kill_after_write after_journal",
    "kill_before_send": "crash_before_send before_send kill_mid_send "
    "kill_mid_order",
    "kill_after_send": "crash_after_send after_send kill_before_ack kill_after_submit "
    "kill_after_send_before_ack",
    "kill_on_report": "crash_on_report kill_on_fill kill_on_ack kill_after_ack crash_on_fill on_report "
    "kill_after_ack_before_journal kill_between_ack_and_journal",
    "crash_loop": "f40 restart_loop boot_loop",
    "stop": "f57 sigterm shutdown graceful_stop terminate term graceful_shutdown "
    "sigint ctrl_c "
    "sigterm_with_orders_open sigterm_orders_open",
    "power_cut": "f41 power_loss power_failure torn_write torn_tail torn torn_journal power machine_crash reset "
    "journal_torn torn_journal_tail power_off "
    "power_fail reboot machine_reboot server_reboot host_reboot power_outage journal_truncated kill_before_fsync",
    "bit_flip": "journal_corruption bitflip corrupt_journal journal_bit_flip corruption flip "
    "bit_rot disk_corruption journal_corrupt",
    "fsync_error": "f42 fsync fsync_fail fsync_failure fsync_failed io_error eio disk_error write_error flush_error "
    "fsync_eio disk_io_error io_errors read_only_disk disk_readonly "
    "read_only_filesystem filesystem_read_only",
    "disk_full": "f43 enospc no_space full disk_no_space out_of_space "
    "disk_full_journal no_space_left",
    "bus_down": "f44 f45 redis_down redis redis_lost bus_lost redis_disconnect bus_disconnect redis_flushed sql_down "
    "postgres_down postgresql_down database_down db_down store_down sql_slow redis_slow "
    "redis_restart redis_flush redis_flushall redis_latency redis_timeout redis_kill redis_partition bus_slow "
    "bus_delay bus_partition postgres_restart "
    "pubsub_disconnect",
    "bus_loss": "f46 subscriber_cut_off bus_drop redis_drop message_loss lost_messages subscriber_slow "
    "subscriber_lag slow_subscriber",
    "forged": "f47 forged_message malformed_message forged_order bus_forged injected_message inject malformed_bus "
    "forged_bus_message bad_message malformed_bus_message unsigned_message "
    "fake_order",
    "clock_jump": "f48 jump time_jump clock_step clock_forward ntp_step jump_forward step "
    "clock_jump_forward time_travel ntp ntp_jump time_warp wall_clock_jump leap_second",
    "sleep": "f49 suspend machine_sleep asleep vm_pause suspended machine_asleep hibernate "
    "machine_suspend laptop_sleep suspend_resume vm_suspend vm_migration "
    "laptop_lid lid_closed",
    "stall": "f13 loop_blocked blocked_loop slow_consumer event_loop_blocked loop_stall pause_process gc_pause block "
    "hang freeze_process blocked sigstop "
    "slow_loop loop_lag cpu_stall cpu_hog gc blocked_event_loop event_loop_block backpressure disk_slow "
    "slow_disk slow_fsync "
    "disk_latency "
    "event_loop_stall cpu_starvation cpu_starved starvation",
    "second_daemon": "f51 f52 two_daemons second_instance double_start duplicate_daemon mixed_versions split_brain "
    "two_instances two_processes second_process dual_daemon lease_lost lease_stolen version_mismatch",
    "agent_dies": "f53 agent_crash agent_down agent_killed agent_stuck agent_fails task_dies agent_death agent_silent "
    "kill_agent agent_kill agent_hang agent_exception "
    "agent_stall agent_freeze agent_dead agent_timeout agent_restart task_death silent_task scanner_dies "
    "ceo_dies kill_ceo "
    "task_dies_silently",
    "risk_agent_dies": "f54 risk_dead risk_agent_dead risk_down risk_officer_dead risk_agent_down risk_silent "
    "risk_agent_crash risk_officer_dies kill_risk_agent "
    "risk_agent_stall risk_veto_timeout kill_risk",
    "fat_finger": "f35 absurd_order huge_order",
    "runaway": "f36 runaway_strategy order_flood flood",
    "replayed": "f37 f60 replayed_intent duplicate_intent duplicate_command replay_command replayed_command "
    "replayed_request replay resend duplicate_order "
    "replay_request replayed_intents duplicate_request",
    "kill_halt": "f58 kill_switch halt kill_switch_halt engage_kill press_kill emergency_stop panic lock engage "
    "kill_switch_pressed kill_switch_press panic_button operator_kill manual_kill halt_all kill_button "
    "engage_kill_switch kill_switch_engage",
    "kill_cancel": "kill_switch_cancel cancel_all",
    "kill_flatten": "f59 emergency_flatten kill_switch_flatten flatten close_all liquidate kill_switch_unreachable "
    "kill_all flatten_all",
    "unlock": "unkill un_kill release release_kill kill_switch_release kill_release "
    "release_kill_switch unlock_kill kill_unlock reset_kill_switch operator_unlock",
    "pause": "operator_pause reduce stop_entries stop_trading "
    "reducing "
    "pause_trading",
    "resume": "operator_resume start_trading "
    "resume_trading",
    "deposit": "f32 balance_up funds_in balance_differs balance_mismatch balance_change "
    "balance_drift balance_difference transfer_in",
    "withdrawal": "withdraw balance_down funds_out "
    "funds_withdrawn transfer_out",
    "foreign_order": "f33 foreign_trade manual_order manual_buy foreign "
    "unknown_order_on_exchange external_order external_trade hand_order hand_buy",
    "sold_by_hand": "f72 manual_sell manual_action manual_trade "
    "sell_by_hand hand_sale hand_sell manual_close "
    "manual_sell_all",
    "cancelled_by_hand": "manual_cancel cancelled_at_exchange stop_cancelled foreign_cancel external_cancel "
    "stop_lost stop_missing",
}
_NAME_BY_WORD: Final = {word: name for name, words in _NAMES.items() for word in (name, *words.split())}

_COMPOSED: Final[dict[str, tuple[str, ...]]] = {
    "f21": ("partial", "stream_down"), "partial_then_disconnect": ("partial", "stream_down"),
    "partial_fill_disconnect": ("partial", "stream_down"), "partial_fill_then_disconnect": ("partial", "stream_down"),
    "kill_mid_partial": ("partial", "kill_on_report"), "kill_during_kill": ("kill_flatten", "kill_idle"),
    "kill_during_flatten": ("kill_flatten", "kill_on_report"), "kill_during_reconcile": ("kill_idle", "kill_on_report"),
    "kill_during_recovery": ("kill_idle", "kill_on_report"),
    "double_kill": ("kill_idle", "kill_on_report"),
}
"""What is two faults at once."""

_WHOLE: Final = frozenset({"all", "any", "agents", "none", "symbol", "everything"})
"""Targets that say nothing of the place."""

_BY_PLACE: Final[dict[tuple[str, str], str]] = {
    ("jump", "market"): "rally", ("skew", "clock"): "clock_skew", ("drift", "clock"): "clock_skew",
    ("zero", "feed"): "nan", ("gap", "market"): "gap", ("gap", "user_stream"): "stream_down",
    ("halt", "symbol"): "halted",
}


_ID: Final = re.compile(r"f?_?0*([0-9]{1,3})")
_ID_AND_NAME: Final = re.compile(r"f_?[0-9]{1,3}_(.+)")
_SIGNAL: Final = re.compile(r"kill_9_(.+)")
_SEVERAL: Final = re.compile(r"[,+&|;]|\band\b")
_SERVER_ERROR: Final = re.compile(r"(http_|error_)?5[0-9]{2}")
_NO_ORDER: Final = frozenset({"before", "after", "on", "then"})
_STEMS: Final = {
    stem: "drop" if stem in ("lost", "loss", "lose", "missing") else word
    for word, stems in {
        "drop": "dropped drops lost loss lose missing", "delay": "delayed delays late", "reject": "rejected rejects "
        "refused refuse", "duplicate": "duplicated duplicates dup dups double twice", "corrupt": "corrupted corruption",
        "crash": "crashed crashes", "kill": "killed kills", "sell": "sold sale sells", "partial": "partials partially",
        "down": "outage unavailable", "truncate": "truncated truncation", "torn": "truncated truncate",
    }.items() for stem in stems.split()
}


class UnknownFaultError(ValueError):
    """Nothing is called so; the text names what comes near and all there is."""


class UnknownTargetError(ValueError):
    """Nothing can be befallen that is called so."""


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9/]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", text.strip()).lower()).strip("_")


def _letters(word: str) -> str:
    return word.replace("_", "")


def _bag(word: str) -> tuple[str, ...]:
    """The words in any order and form; () where their order is what they say."""
    words = [_STEMS.get(each, each.removesuffix("s")) for each in word.split("_")]
    return () if len(words) < 2 or _NO_ORDER & set(words) else tuple(sorted(words))


def _unique(pairs: Iterable[tuple[Any, str]]) -> dict[Any, str]:
    """Those keys that name one fault only."""
    names: dict[Any, set[str]] = {}
    for key, name in pairs:
        names.setdefault(key, set()).add(name)
    return {key: next(iter(found)) for key, found in names.items() if key and len(found) == 1}


_NAME_BY_LETTERS: Final = _unique((_letters(word), name) for word, name in _NAME_BY_WORD.items())
_NAME_BY_BAG: Final = _unique((_bag(word), name) for word, name in _NAME_BY_WORD.items())


def _name_of(word: str) -> str:
    """By its own word, by its letters, by its words in another order or form; "" when nobody knows it."""
    if _SERVER_ERROR.fullmatch(word):
        return "http_5xx"
    if name := _NAME_BY_WORD.get(word, ""):
        return name
    if found := _ID.fullmatch(word):
        return _NAME_BY_WORD.get(f"f{int(found[1]):02d}", "")
    if found := _ID_AND_NAME.fullmatch(word):
        return _name_of(found[1])
    if found := _SIGNAL.fullmatch(word):
        return _name_of(f"kill_{found[1]}")
    return _NAME_BY_WORD.get(word) or _NAME_BY_LETTERS.get(_letters(word)) or _NAME_BY_BAG.get(_bag(word), "")


def faults_named(text: str, target: str = "") -> list[tuple[str, str]]:
    """As `fault_named`, for words that mean two faults at once, too."""
    word = _plain(text)
    if found := _ID.fullmatch(word):
        word = f"f{int(found[1]):02d}"
    signal = _SIGNAL.fullmatch(word)
    names = _COMPOSED.get(f"kill_{signal[1]}" if signal else word)
    return [fault_named(text, target)] if names is None else [(name, target) for name in names]


def _symbol_named(target: str) -> str:
    try:
        named = target_named(target)
    except UnknownTargetError:
        return ""
    return named if named in SYMBOLS else ""


def fault_named(text: str, target: str = "") -> tuple[str, str]:
    """The fault's own name, and the target as far as it was not part of the name; raises `UnknownFaultError`."""
    word, place = _plain(text), _plain(target)
    if word not in _NAME_BY_WORD and _plain(text.lower()) in _NAME_BY_WORD:
        word = _plain(text.lower())  # NaN
    if _SEVERAL.search(text.lower()) and word not in _NAME_BY_WORD:
        raise UnknownFaultError(f"{text!r} is more than one fault: write an entry for each.")
    agent = _agent_named(place)
    at = agent if agent == "risk" else "agent" if agent else place
    if (name := _BY_PLACE.get((word, "symbol"), "")) and _symbol_named(target):
        return name, target
    name = _BY_PLACE.get((word, PLACE_BY_WORD.get(at, at))) or _BY_PLACE.get((word, at)) or fault_at(word, at)
    if name:
        return name, agent
    for tried in (f"{place}_{word}", f"{word}_{place}", f"{at}_{word}") if at in PLACE_BY_WORD else ():
        if name := _NAME_BY_WORD.get(tried, ""):
            return name, agent
    if is_verb(word) and at in PLACE_BY_WORD:
        known = known_at(at)
        raise UnknownFaultError(
            f"no fault {text!r} befalls {target!r} here. "
            + (f"It may be befallen by {', '.join(known)}." if known else "Leave the target out, or name another.")
        )
    if name := _name_of(word):
        return name, target
    for tried in (f"{place}_{word}", f"{word}_{place}"):
        if place and (name := _name_of(tried)):
            return name, ""
    raise UnknownFaultError(f"unknown fault {text!r}.{_hint(word)} Known: {', '.join(_NAMES)}.")


def _hint(word: str) -> str:
    if _ID.fullmatch(word) or word.isdecimal():
        return " No fault of this id can befall a daemon in virtual time: docs/simulator.md has those that can."
    if near := _NEAREST.get(word):
        return f" Nearest is {near}."
    close = difflib.get_close_matches(word, _NAME_BY_WORD, 3, 0.78)
    return f" Did you mean {' or '.join(sorted({_NAME_BY_WORD[each] for each in close}))}?" if close else ""


_NEAREST: Final[dict[str, str]] = {
    "memory": "make soak", "memory_leak": "make soak",
    "kill_during_cancel": "kill_on_report, or kill_before_journal after a cancel",
    "wide_spread": "crossed", "chaos": "make sim WILD=1",
    "daily_loss": "crash, some times", "drawdown": "crash, "
    "some times",
    "volatility": "crash and rally", "random": "make sim WILD=1",
    "insufficient_funds": "withdrawal", "insufficient_balance": "withdrawal",
}


def _agent_named(place: str) -> str:
    """One of the agents: risk, risk_officer, market_scanner, agent_ceo; "" for anything else."""
    words = set(place.split("_")) - {"agent", "officer", "market", "the"}
    return next((each for each in AGENTS if words == {each}), "")


def target_named(text: str) -> str:
    """A symbol or an agent, "" for a whole; raises `UnknownTargetError`."""
    word = _plain(text)
    if not word or word in _WHOLE or (word in PLACE_BY_WORD and word != "risk") or word in _NAME_BY_WORD:
        return ""
    letters = re.sub(r"[^a-z0-9]", "", word)
    for symbol in SYMBOLS:
        base, quote = symbol.lower().split("/")
        if letters in (base, base + quote, f"{base}usd"):
            return symbol
    if agent := _agent_named(word):
        return agent
    raise UnknownTargetError(
        f"unknown target {text!r}. Write a symbol ({', '.join(SYMBOLS)}), an agent ({', '.join(AGENTS)}), "
        f"or what is befallen as a whole ({', '.join(sorted(PLACE_BY_WORD.keys() | _WHOLE))}); left out, everything is."
    )
