"""Random accounts and orders against the gate: what it approves must break no limit once it is filled.

    python -m tests.risk.fuzz_gate --pairs 1000000 --seed 1

The limits are computed anew here, from an account in whole numbers (1e-8 of a unit, exact), filled at the worst
price the order may pay; nothing of the gate's arithmetic is used. So that both answers are common, accounts
and orders are drawn near the limits as often as anywhere. The opposite is checked too: an entry that breaks
nothing in a calm world is approved, so a gate that says no to everything fails as well.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from risk.approved import Approved, Denied
from risk.codes import DENIAL_CODES
from risk.gate import RiskGate
from risk.limits import RiskLimits
from tests.risk.fuzz_worlds import (
    PPM,
    SYMBOLS,
    Limits,
    Wish,
    World,
    draw_limits,
    draw_wish,
    draw_world,
    order_of,
    view_of,
)

# ---- the judgement ---------------------------------------------------------------------------------


def broken_after_fill(wish: Wish, world: World, limits: Limits) -> list[str]:
    """Names of what is wrong with the account once the order is filled in full at its worst price."""
    if wish.side == "sell" and wish.reduce_only:
        return _broken_by_exit(wish, world, limits)
    return _broken_by_entry(wish, world, limits)


def _shape(wish: Wish, world: World, limits: Limits) -> dict[str, bool]:
    """What must hold of every order. Values of quantity * price are in 1e-10."""
    price = wish.price
    market2 = _twice_market(world)
    value2 = wish.quantity * (2 * price if price is not None else market2 or 2 * wish.reference)
    is_exit = wish.side == "sell" and wish.reduce_only
    is_guard = is_exit and wish.origin in ("protective", "kill")
    pace = 3 if is_exit else 1
    return {
        "side": (wish.side == "buy" and wish.reduce_only) or (wish.side == "sell" and not wish.reduce_only),
        "quantity": wish.quantity <= 0 or wish.quantity % world.step != 0 or wish.quantity < world.min_quantity,
        "too large": 0 < world.max_quantity < wish.quantity,
        "price": price is not None and price <= 0,
        "venue's minimum": value2 < 200 * world.venue_least,
        "pace": not is_guard and (
            world.last_second >= pace * limits.per_second or world.last_minute >= pace * limits.per_minute
            or bool(world.twin)),
        "verdict": wish.origin == "council" and (
            not wish.proposal or world.approved is None or wish.quantity > world.approved),
    }


def _twice_market(world: World) -> int | None:
    """Twice the market price, so that the middle of the quote is whole too."""
    if world.bid is not None and world.ask is not None:
        return world.bid + world.ask
    for price in (world.last, world.bid, world.ask):
        if price is not None:
            return 2 * price
    return None


def _broken_by_exit(wish: Wish, world: World, limits: Limits) -> list[str]:
    is_guard = wish.origin in ("protective", "kill")
    may_pass_latch = (is_guard and (wish.arming or wish.origin == "kill")) or (
        world.latched_by_rule and wish.origin != "council")
    broken = _shape(wish, world, limits) | {
        "sells more than there is": wish.quantity > world.sellable,
        "killed": world.killed and not may_pass_latch,
        "halted": world.state not in ("ACTIVE", "REDUCING") and not (
            (is_guard and wish.arming) or (world.killed and may_pass_latch)),
    }
    return [name for name, is_broken in broken.items() if is_broken]


def _broken_by_entry(wish: Wish, world: World, limits: Limits) -> list[str]:
    own = SYMBOLS[0]
    worst = wish.price if wish.price is not None else max(wish.reference, world.ask or 0, world.last or 0)
    cost = wish.quantity * worst  # in 1e-10
    mark = next((price for price in (world.bid, world.last, world.ask) if price is not None), worst)
    before = 100 * PPM * world.equity  # in 1e-16, as is what the fill takes: fee, slippage, and the way to the bid
    lost = cost * world.fee + max(cost - wish.quantity * mark, 0) * PPM
    after = before - lost

    def falls_to(loss: int, limit: int) -> bool:
        """A loss in millionths, made larger by the fill."""
        return loss * before + (PPM - loss) * lost >= limit * before

    equity, market2 = world.equity, _twice_market(world)
    named = wish.price if wish.price is not None else wish.reference
    asset_after = 100 * (world.held[own] + world.pending.get(own, 0)) + cost
    total_after = 100 * (sum(world.held.values()) + sum(world.pending.values())) + cost
    cash_after = 100 * (PPM * world.cash - world.held_back()) - cost * (PPM + world.fee)
    symbols_after = {symbol for symbol, value in world.held.items() if value > 0} | set(world.pending) | {own}
    broken = _shape(wish, world, limits) | {
        "permission": world.killed or world.state != "ACTIVE" or not world.trading,
        "symbol": world.halted or world.unknown,
        "lock": world.symbol_lock_ns > 0 or world.all_lock_ns > 0,
        "data": world.age_ns is None or not 0 <= world.age_ns < limits.stale_ns or market2 is None or market2 <= 0,
        "crossed": world.bid is not None and world.ask is not None and world.bid >= world.ask,
        "collar": market2 is not None and not wish.arming and abs(2 * named - market2) * PPM >= limits.collar * market2,
        "no equity": equity <= 0,
        "one order": cost * PPM > 100 * limits.order * equity,
        "cash": cash_after < 0,
        "asset": asset_after * PPM * PPM >= limits.asset * after,
        "total": total_after * PPM * PPM >= limits.total * after,
        "positions": len(symbols_after) > limits.positions,
        "daily drawdown": falls_to(world.daily, limits.daily), "weekly drawdown": falls_to(world.weekly, limits.weekly),
        "maximum drawdown": falls_to(world.maximum, limits.maximum), "daily loss": falls_to(world.loss, limits.loss),
        "runaway": falls_to(world.runaway, limits.runaway), "capital": falls_to(world.kill, limits.kill),
        "money per minute": (100 * world.sent_money + cost) * PPM > 100 * limits.money_per_minute * equity,
        "our minimum": wish.quantity * (market2 or 0 if wish.price is None else 2 * wish.price) < 200 * limits.least,
    }
    return [name for name, is_broken in broken.items() if is_broken]


@dataclass(slots=True)
class Tally:
    """What came of a run."""

    pairs: int = 0
    approved: int = 0
    approved_entries: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run(
    pairs: int, seed: int, most_failures: int = 5, loosen: Callable[[RiskLimits], RiskLimits] | None = None,
) -> Tally:
    """So many pairs; the first few that went wrong are described. `loosen` gives the gate limits of its own."""
    chance = random.Random(seed)
    tally = Tally()
    for number in range(pairs):
        if number % 50 == 0:
            limits = draw_limits(chance)
            gate = RiskGate(loosen(limits.as_limits()) if loosen else limits.as_limits())
        world = draw_world(chance, limits)
        wish = draw_wish(chance, world, limits)
        answer = gate.review(order_of(wish), view_of(world))
        tally.pairs += 1
        broken = broken_after_fill(wish, world, limits)
        problem = _problem(answer, wish, broken)
        if isinstance(answer, Approved):
            tally.approved += 1
            tally.approved_entries += wish.side == "buy"
        else:
            tally.codes[answer.code] += 1
        if problem:
            tally.failures.append(f"pair {number}: {problem}\n  {wish}\n  {world}\n  {limits}")
            if len(tally.failures) >= most_failures:
                break
    return tally


def _problem(answer: Approved | Denied, wish: Wish, broken: Sequence[str]) -> str:
    """What is wrong with the answer, "" when nothing is."""
    if isinstance(answer, Approved):
        return f"approved, but breaks {', '.join(broken)}" if broken else ""
    if answer.code not in DENIAL_CODES:
        return f"denied with an unknown code {answer.code}"
    if wish.side == "buy" and not broken:
        return f"denied with {answer.code}, but breaks nothing"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Random accounts and orders against the gate.")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    tally = run(options.pairs, options.seed)
    seconds = time.perf_counter() - begun
    print(f"{tally.pairs} pairs in {seconds:.0f} s, seed {options.seed}: {tally.approved} approved "
          f"({tally.approved_entries} entries), {sum(tally.codes.values())} denied by {len(tally.codes)} codes")
    print(", ".join(f"{code} {count}" for code, count in tally.codes.most_common()))
    for failure in tally.failures:
        print(failure)
    print("FAILED" if tally.failures else "no approved order breaks a limit after its fill; "
          "no entry that breaks none is denied")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
