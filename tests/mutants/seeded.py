"""The seeded bugs: each a small edit of the product that would cost money, and the tests that should notice.

`old` occurs exactly once in the file. `tests` are pytest targets, run with -x; the first failure is the catch.
"""

from dataclasses import dataclass
from typing import Final

ENGINE: Final = ("tests/orders/test_engine_orders.py", "tests/orders/test_engine_exits.py")
RESTART: Final = ("tests/orders/test_engine_restart.py", "tests/orders/test_engine_restart_exits.py")
KILL: Final = ("tests/orders/test_engine_kill.py", "tests/orders/test_engine_kill_steps.py")
GATE: Final = ("tests/risk/test_gate_codes.py", "tests/risk/test_gate_limits_table.py", "tests/risk/test_fuzz_gate.py")
RUNTIME: Final = ("tests/tradingd/test_runtime.py",)
JOURNAL: Final = ("tests/store/test_journal.py",)
SEGMENTS: Final = ("tests/store/test_journal_segments.py",)
PACKING: Final = ("tests/tradingd/test_journal_packing.py",)
LIVE_ORDERS: Final = (
    "tests/exchanges/binance/test_orders.py", "tests/exchanges/binance/test_order_questions.py",
    "tests/exchanges/binance/test_user_stream.py", "tests/exchanges/binance/test_stops.py",
)
FEED: Final = ("tests/exchanges/binance/test_parser.py", "tests/exchanges/binance/test_depth.py")
READY: Final = ("tests/orders/test_loaded.py", "tests/tradingd/test_ready_orders.py")
TRAILS: Final = ("tests/orders/test_trailing.py", "tests/orders/test_trailing_against_plain_loop.py")


@dataclass(frozen=True)
class Mutant:
    """`name` says what the bug does; `file` is relative to the root."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS: Final = (
    # ---- orders that were made ready -----------------------------------------------------------------------
    Mutant(
        "a ready order leaves before the journal holds it", "tradingd/runtime.py",
        "                self.journal.append_encoded(records, sync=True)\n                ready.send(approved)\n",
        "                ready.send(approved)\n                self.journal.append_encoded(records, sync=True)\n",
        READY,
    ),
    Mutant(
        "a ready order leaves whatever happened since", "orders/loaded.py", "desk.steps != self._steps or ", "", READY,
    ),
    Mutant(
        "a ready order leaves at any quote", "risk/price_range.py",
        "            and bid >= self.quote_low and ask <= self.quote_high and ask - bid >= self.least_spread\n", "",
        READY,
    ),
    # ---- journal and runtime -------------------------------------------------------------------------------
    Mutant(
        "the flush before the venue is dropped", "store/journal.py",
        "                os.fdatasync(self._descriptor)\n", "                pass\n", JOURNAL,
    ),
    Mutant(
        "a damaged record is believed", "store/journal_format.py",
        "if len(body) != length or zlib.crc32(body) != check:", "if len(body) != length:", JOURNAL,
    ),
    Mutant(
        "a file of the journal that ends too early is passed over", "store/journal_files.py",
        "                raise _cut_short(journal, file, number, at)\n", "                return\n", SEGMENTS,
    ),
    Mutant(
        "a rotation that was cut short leaves the file in two places", "store/journal.py",
        "        double.unlink()\n", "        pass\n", SEGMENTS,
    ),
    Mutant(
        "a packed journal forgets a trail's best price before it was armed anew", "tradingd/journal_packing.py",
        "        elif record.kind in _BESIDE_TRAILS:\n", "        elif True:\n", PACKING,
    ),
    Mutant(
        "old ids are forgotten with the reasons", "tradingd/journal_packing.py",
        "    council.ProposalVetoed, council.ProposalExpired,", "    council.ProposalVetoed, orders.OrderInitialized,",
        PACKING,
    ),
    Mutant(
        "the venue hears of an order before the journal", "tradingd/runtime.py",
        "        if facts or changes_venue:\n            # What a person",
        "        for effect in for_venue:\n            self._ask_venue(effect)\n        for_venue = []\n"
        "        if facts or changes_venue:\n            # What a person", RUNTIME,
    ),
    Mutant(
        "the latch of the kill switch is not flushed", "tradingd/runtime.py",
        "sync=changes_venue or is_latched", "sync=changes_venue", RUNTIME,
    ),
    Mutant(
        "orders leave without a flush", "tradingd/runtime.py",
        "sync=changes_venue or is_latched", "sync=is_latched", RUNTIME,
    ),
    Mutant(
        "an agent may vote for anybody", "tradingd/runtime.py",
        "        if not may_say(message):\n", "        if False and not may_say(message):\n", RUNTIME,
    ),
    # ---- the venue's adapter --------------------------------------------------------------------------------
    Mutant(
        "a create that was not answered is sent again", "exchanges/binance/orders.py",
        '            self._tell(ExecutionReport(client_order_id, symbol, "unknown", self._clock.now(), '
        "reason=str(error)))\n            return\n        self._account.watch(answer)",
        '            answer = await self._rest.once("POST", "/api/v3/order", parameters, signed=True)\n'
        "        self._account.watch(answer)", LIVE_ORDERS,
    ),
    Mutant(
        "no answer is taken for a refusal", "exchanges/binance/orders.py",
        'symbol, "unknown", self._clock.now(), reason=str(error)))\n            return\n        self._account',
        'symbol, "rejected", self._clock.now(), reason=str(error)))\n            return\n        self._account',
        LIVE_ORDERS,
    ),
    Mutant(
        "a 5xx is taken for a refusal", "exchanges/binance/order_answers.py",
        "    if not 400 <= answer.status < 500:\n        return False\n", "", LIVE_ORDERS,
    ),
    Mutant(
        "what happened while the user stream was down is not asked for", "exchanges/binance/orders.py",
        "on_up=self._query_working,", "on_up=lambda: None,", LIVE_ORDERS,
    ),
    Mutant(
        "an order's end is told before its last fill", "exchanges/binance/order_answers.py",
        "    if filled != status.executed:\n        said = f\"executed {status.executed}, but its trades",
        "    if False:\n        said = f\"executed {status.executed}, but its trades", LIVE_ORDERS,
    ),
    Mutant(
        "NaN and exponents pass as money", "market/money.py",
        "if not _DECIMAL.match(text):", "if not text:", FEED,
    ),
    Mutant(
        "a crossed quote is believed", "exchanges/binance/parser.py",
        "        if bid >= ask:\n", "        if False:\n", FEED,
    ),
    Mutant(
        "a gap in the book's updates is ignored", "exchanges/binance/depth.py",
        "if delta.first_sequence != self._last + 1:", "if False:", FEED,
    ),
    # ---- the gate --------------------------------------------------------------------------------------------
    Mutant("the gate accepts NaN", "risk/gate.py", "        if broken:\n", "        if False:\n", GATE),
    Mutant(
        "REDUCING lets entries pass", "risk/permission_checks.py",
        "        return not case.is_entry\n    if _arms", "        return True\n    if _arms", GATE,
    ),
    Mutant(
        "the gate forgets the kill switch", "risk/permission_checks.py",
        "        not view.kill_engaged or _leaves", "        True or _leaves", GATE,
    ),
    Mutant(
        "old market data is good enough", "risk/permission_checks.py",
        "age is None or 0 <= age < case.limits.stale_after_ns", "True", GATE,
    ),
    Mutant(
        "an order of unknown fate does not block its symbol", "risk/pace_checks.py",
        "is_exit or not view.unknown_on_symbol", "True", GATE,
    ),
    Mutant(
        "silence of the risk officer is a yes", "risk/pace_checks.py",
        "(bool(order.proposal_id) and approved is not None)", "bool(order.proposal_id)", GATE,
    ),
    Mutant(
        "more is bought than the risk officer approved", "risk/pace_checks.py",
        "approved is None or order.quantity <= approved", "True", GATE,
    ),
    Mutant(
        "the cap on orders per minute is off by one", "risk/pace_checks.py",
        "view.orders_last_minute + 1 <= pace", "view.orders_last_minute <= pace", GATE,
    ),
    Mutant(
        "the daily loss limit is not asked", "risk/capital_checks.py",
        "cost + view.daily_loss * kept < limits.daily_loss", "True", GATE,
    ),
    Mutant(
        "fees are forgotten when funds are checked", "risk/capital_checks.py",
        "notional * (ONE + view.taker_fee_ratio) <= view.available", "notional <= view.available", GATE,
    ),
    Mutant(
        "the milder vote wins", "risk/trading_state.py",
        "self.voted = min((each for each, _", "self.voted = max((each for each, _",
        ("tests/risk/test_trading_state.py",),
    ),
    Mutant(
        "waiting entries do not count as exposure", "orders/account.py",
        "        total += notional\n", "", ("tests/orders/test_commitments.py", *ENGINE),
    ),
    Mutant(
        "one look at the balances is enough for a deposit", "tradingd/account_watch.py",
        "        if before is None:\n            return ZERO\n",
        "        if before is None:\n            return difference\n",
        ("tests/tradingd/test_account_watch.py",),
    ),
    # ---- orders ------------------------------------------------------------------------------------------------
    Mutant(
        "a late command is obeyed", "orders/placing.py",
        "if expires and desk.now > expires:", "if False:", ENGINE,
    ),
    Mutant(
        "a proposal without an expiry becomes an order", "agents/trader.py",
        "    if expires == 0:\n", "    if False:\n", ("tests/agents/test_trader.py",),
    ),
    Mutant(
        "a known id is placed again", "orders/placing.py",
        "    if wish.client_order_id in desk.state.orders:\n        answer_again",
        "    if False:\n        answer_again", ENGINE,
    ),
    Mutant(
        "the quantity is rounded up", "market/instrument.py",
        "return _to_step(quantity, self.quantity_step, ROUND_FLOOR)",
        "return _to_step(quantity, self.quantity_step, ROUND_CEILING)", ENGINE,
    ),
    Mutant(
        "a stop's trigger is rounded away from the market", "market/instrument.py",
        "        return _to_step(price, self.price_tick, ROUND_FLOOR if side == \"buy\" else ROUND_CEILING)\n\n\n",
        "        return _to_step(price, self.price_tick, ROUND_CEILING if side == \"buy\" else ROUND_FLOOR)\n\n\n",
        ("tests/market/test_instrument.py",),
    ),
    Mutant(
        "Wilder's averages forget at another speed", "market/indicators.py",
        "self._gain = (self._gain * (period - 1) + gain) / period", "self._gain += (gain - self._gain) / (period + 1)",
        ("tests/market/test_indicators.py",),
    ),
    Mutant(
        "Bollinger's deviation is that of a sample", "market/indicators.py",
        "for offset in offsets]) / self.period)", "for offset in offsets]) / (self.period - 1))",
        ("tests/market/test_indicators.py",),
    ),
    Mutant(
        "a hammer may hang above the candle before it", "market/candle_patterns.py",
        "float(hangs and now.bottom <= before.low + near)", "float(hangs)", ("tests/market/test_candle_patterns.py",),
    ),
    Mutant(
        "a divergence never grows old", "market/indicators_features.py",
        "(side, age + 1) if age < DIVERGENCE_LIFE else _NO_DIVERGENCE", "(side, age + 1)",
        ("tests/market/test_indicators.py",),
    ),
    Mutant(
        "the value area ends early", "market/volume_profile.py",
        "while gathered < wanted and", "while gathered < wanted / 2 and", ("tests/market/test_volume_profile.py",),
    ),
    Mutant(
        "a wide spread is no objection", "agents/scanner.py",
        "if spread is not None and spread > config.max_spread:", "if False:", ("tests/agents/test_scanner.py",),
    ),
    Mutant(
        "what is held off the watch list is not analysed", "agents/analyst.py",
        "symbol in self._watched or symbol in self._at_stake", "symbol in self._watched",
        ("tests/agents/test_analyst.py",),
    ),
    Mutant(
        "a fill that was told twice is booked twice", "orders/reports.py",
        "    if state.has_trade(report.symbol, report.trade_id):\n        return\n", "", ENGINE,
    ),
    Mutant(
        "a cancelled order's late fill is lost", "orders/reports.py",
        '    if report.exec_type == "fill":\n        _on_fill',
        '    if report.exec_type == "fill" and order.is_working:\n        _on_fill', ENGINE,
    ),
    Mutant(
        "an order that is not found is held for lost at once", "orders/reports.py",
        "    if desk.now - order.submitted_ns < NOT_FOUND_GRACE_NS:\n", "    if desk.now < 0:\n", ENGINE,
    ),
    Mutant(
        "a cancel is believed before the venue has answered", "orders/cancelling.py",
        "    desk.emit(OrderPendingCancel(order.client_order_id, order.spec.symbol, reason))",
        '    desk.emit(OrderCancelled(order.client_order_id, order.spec.symbol, "us", reason))', ENGINE,
    ),
    Mutant(
        "a replacement is not shown to the gate", "orders/replacing.py",
        "    if not isinstance(verdict, Approved):\n        return verdict\n", "",
        ("tests/orders/test_management_replacing.py",),
    ),
    Mutant(
        "a replacement forgets what the old order has filled", "orders/replacing.py",
        "    rest = market.instrument.round_quantity(spec.quantity - earlier.filled)\n    reason",
        "    rest = spec.quantity\n    reason", ("tests/orders/test_management_replacing.py",),
    ),
    Mutant(
        "protection is as large as the order, not as the fill", "orders/protection.py",
        "    net = entry.filled - entry.fees.get(market.instrument.base, ZERO)\n",
        "    net = entry.total\n", ("tests/orders/test_protection_quantity.py",),
    ),
    Mutant(
        "an exit sells more than is held", "orders/exits.py",
        "    wanted = min(spec.quantity, held)\n", "    wanted = spec.quantity\n", ENGINE,
    ),
    Mutant(
        "two exits sell the same coins", "orders/exits.py",
        "state.ledger.quantity(spec.symbol) - account.selling_quantity(desk.state, spec.symbol)\n    if grid_inventory",
        "state.ledger.quantity(spec.symbol)\n    if grid_inventory", ENGINE,
    ),
    Mutant(
        "fees are counted twice", "orders/ledger.py",
        "            value = quantity * price\n            postings",
        "            value, fee = quantity * price, fee * 2\n            postings",
        ("tests/orders/test_ledger.py",),
    ),
    Mutant(
        "a trail that is carried on loses its best price", "orders/placing.py",
        'kept = max(best, watch.best) if order.side == "sell" else min(best, watch.best)', "kept = watch.best",
        ("tests/orders/test_management_replacing.py", "tests/orders/test_management_entries.py", *ENGINE),
    ),
    Mutant(
        "a sell trail fires only below its trigger", "orders/trailing_groups.py",
        "(best * watch.factor if watch.is_ratio else best - watch.distance) >= level",
        "(best * watch.factor if watch.is_ratio else best - watch.distance) > level", TRAILS,
    ),
    Mutant(
        "the stop at the venue does not grow with the position", "orders/disaster_stop.py",
        '            return "more is held"\n', '            return ""\n',
        ("tests/orders/test_disaster_stop.py", "tests/orders/test_disaster_stop_property.py"),
    ),
    Mutant(
        "what is bought more waits for a cancel that nobody answers", "orders/disaster_stop.py",
        "            patience.is_divided = True\n", "            patience.is_divided = False\n",
        ("tests/orders/test_disaster_stop_divided.py",),
    ),
    Mutant(
        "more is bought while the cancel of a stop has no answer", "orders/order_table.py",
        "(order.is_unknown or order.is_stuck_stop(now))", "order.is_unknown",
        ("tests/orders/test_disaster_stop_divided.py",),
    ),
    # ---- restart and kill --------------------------------------------------------------------------------------
    Mutant(
        "the kill switch does not outlive a restart", "orders/engine.py",
        "                marks={each.symbol: each.mark for each in body.positions},\n            )\n",
        "                marks={each.symbol: each.mark for each in body.positions},\n            )\n"
        '        if type(body).__name__ == "KillSwitchEngaged":\n            return\n', (*KILL, *RESTART),
    ),
    Mutant(
        "a trail's watermark does not outlive a restart", "orders/watch.py",
        "        self.trails(fact.symbol, lane_of(fact.price_source, fact.side)).raise_best(fact.side, fact.best)",
        "        return", RESTART,
    ),
    Mutant(
        "after a restart nobody asks what became of the orders", "orders/engine.py",
        "                desk.ask_venue(order)\n        exits.release",
        "                pass\n        exits.release",
        RESTART,
    ),
    Mutant(
        "after a restart an entry that was cut off stays bare", "orders/engine.py",
        "            protection.arm_what_was_cut_off(desk, order)", "            pass", RESTART,
    ),
    Mutant(
        "after a restart a half-done entry goes on", "orders/engine.py",
        'request_cancel(desk, order, "the process stopped before it was sent or armed")', "pass",
        ("tests/orders/test_restart_half_done.py",),
    ),
    Mutant(
        "after a restart any first price is believed", "orders/print_guard.py",
        "            return self._old, self._old_collar", "            return None, self._old_collar",
        ("tests/orders/test_print_guard.py",),
    ),
    Mutant(
        "a stream does not know what was paid before it began", "tradingd/daemon.py",
        "        self._feed.know_prices(self._runtime.engine.old_prices())\n", "",
        ("tests/tradingd/test_start_over_a_position.py",),
    ),
    Mutant(
        "what hours have lost was lost within a minute", "orders/desk.py",
        "is_of_now=is_priced and self._is_marked_now", "is_of_now=True", ("tests/orders/test_known_in_part.py",),
    ),
    Mutant(
        "a day begins when the first price is heard", "orders/desk.py",
        "            elif not net_flow:", "            if not net_flow:",
        ("tests/orders/test_known_in_part.py",),
    ),
    Mutant(
        "a held symbol without a price is worth what it cost", "orders/account.py",
        "    mark = market.known_mark\n    return", "    mark = market.mark\n    return",
        ("tests/orders/test_known_in_part.py",),
    ),
    Mutant(
        "a candle that the clock closed is opened again", "market/candles.py",
        "open_time(max(self._start, bucket.floor), bucket.length)", "open_time(self._start, bucket.length)",
        ("tests/market/test_candles.py",),
    ),
    Mutant(
        "the kill switch is pressed once only", "orders/chores.py",
        "        press_on(desk)\n", "", KILL,
    ),
    Mutant(
        "flatten forgets the orders that work", "orders/kill.py",
        '    return order.spec.origin != "kill" if action == "flatten" else not order.is_exit',
        '    return action == "cancel" and not order.is_exit', KILL,
    ),
)
