"""Commands about orders and the account: give, change, cancel, close, target weights, paper money."""

import re
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, connect

_TRAIL: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%|atr)?", re.IGNORECASE)
_PERCENT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%?")
_DURATION: Final = re.compile(r"([0-9]+)\s*([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LEAST_BARE: Final = 0.1
"""A smaller number without a sign is a ratio by mistake, more often than so little a percent."""
_TRAIL_FORMS: Final = "2%, 2atr, or 150 (quote)"

PriceOption = Annotated[str, typer.Option("--price", help="Of a limit order; with --stop-price: of a stop-limit.")]
StopPriceOption = Annotated[str, typer.Option("--stop-price", help="Of a stop or take_profit order.")]
TrailOption = Annotated[str, typer.Option("--trail", help=f"Of a trailing order: {_TRAIL_FORMS}.")]
ActivationOption = Annotated[str, typer.Option("--activation", help="The trail trails once the price gets here.")]
LimitOffsetOption = Annotated[str, typer.Option(
    "--limit-offset", help="It leaves as a limit this far beyond its trigger, such as 0.1%; else at market.",
)]
PriceSourceOption = Annotated[str, typer.Option("--price-source", help="What moves it: last | mid | bid_ask")]
BreakEvenOption = Annotated[str, typer.Option(
    "--break-even", help="After a gain of this much, such as 1%, it no longer fires at a loss.",
)]
DecayOption = Annotated[str, typer.Option(
    "--decay", help="Each minute the distance loses this share of its first length, such as 5%.",
)]
DecayFloorOption = Annotated[str, typer.Option("--decay-floor", help="... down to this, in the unit of the trail.")]


def say(answer: Any, sentence: str, *, as_json: bool) -> None:
    """The answer as JSON, or the sentence."""
    from tradingd import cli_tables

    if as_json:
        cli_tables.print_json(answer)
    else:
        cli_tables.console().print(cli_tables.clean(sentence))


def order(
    side: Annotated[str, typer.Argument(help="buy | sell")],
    symbol: Annotated[str, typer.Argument(help="Such as BTC/USDT.")],
    quantity: Annotated[str, typer.Argument(metavar="QTY", help="In the base currency, such as 0.01.")],
    kind: Annotated[str, typer.Option("--type", help="market | limit | stop | take_profit | trailing")] = "",
    price: PriceOption = "",
    stop_price: StopPriceOption = "",
    trail: TrailOption = "",
    with_stop: Annotated[str, typer.Option("--with-stop", help="Protect a buy: a stop this far below, as 2%.")] = "",
    with_target: Annotated[str, typer.Option("--with-target", help="... a target this far above, as 4%.")] = "",
    with_trail: Annotated[str, typer.Option("--with-trail", help=f"... and a trail: {_TRAIL_FORMS}.")] = "",
    activation: ActivationOption = "",
    limit_offset: LimitOffsetOption = "",
    price_source: PriceSourceOption = "",
    break_even: BreakEvenOption = "",
    decay: DecayOption = "",
    decay_floor: DecayFloorOption = "",
    expires: Annotated[str, typer.Option("--expires", help="Ends then, as 2026-11-20T18:00:00Z.")] = "",
    lasts: Annotated[str, typer.Option("--for", help="Ends after this long, as 90s, 15m, 2h or 1d.")] = "",
    improve: Annotated[bool, typer.Option("--improve", help="Follow the market while it favours the order.")] = False,
    day_only: Annotated[bool, typer.Option("--day", help="End it before the day does, sell what it bought.")] = False,
    tag: Annotated[str, typer.Option("--tag", help="A word of yours.")] = "",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Submit an order by hand. Sells only reduce what is held."""
    given = "trailing" if trail else "stop" if stop_price else "limit" if price else "market"
    body: dict[str, Any] = {
        "symbol": symbol, "side": side.lower(), "type": kind.lower().replace("-", "_") or given, "quantity": quantity,
    }
    texts = {"price": price, "stop_price": stop_price, "expire_at": expires, "tag": tag}
    body |= {name: text for name, text in texts.items() if text}
    if trail:
        body["trail"] = parse_trail(trail)
    if protection := _protection(with_stop, with_target, with_trail):
        body["protection"] = protection
    refined = body.get("trail") or protection.get("trail")
    _refine(refined, activation, limit_offset, price_source, break_even, decay, decay_floor)
    if lasts:
        body["max_duration_s"] = parse_duration(lasts)
    if improve:
        body["improve"] = True
    if day_only:
        body["ends_with_day"] = True
    answer = connect(config, data_dir).post("/api/orders", body)
    say(answer, _told(answer), as_json=json)


def modify(
    order_id: Annotated[str, typer.Argument(metavar="ID")],
    quantity: Annotated[str, typer.Option("--quantity", help="The new one, with what is executed already.")] = "",
    price: PriceOption = "",
    stop_price: StopPriceOption = "",
    trail: TrailOption = "",
    activation: ActivationOption = "",
    limit_offset: LimitOffsetOption = "",
    price_source: PriceSourceOption = "",
    break_even: BreakEvenOption = "",
    decay: DecayOption = "",
    decay_floor: DecayFloorOption = "",
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Change a working order. One at the venue is cancelled there, and the rest of it placed anew with another id."""
    texts = {"quantity": quantity, "price": price, "stop_price": stop_price}
    body: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if trail:
        body["trail"] = parse_trail(trail)
    _refine(body.get("trail"), activation, limit_offset, price_source, break_even, decay, decay_floor)
    if not body:
        raise CliError(exit_codes.USAGE, "nothing is to change: give --quantity, --price, --stop-price or --trail.")
    answer = connect(config, data_dir).call("PATCH", f"/api/orders/{quote(order_id, safe='')}", body)
    before = f" (in place of {answer['replaces']})" if answer["id"] != order_id else ""
    say(answer, _told(answer) + before, as_json=json)


def _told(answer: Any) -> str:
    more = f", average price {answer['average_price']}" if answer["average_price"] else ""
    more += f", trigger {answer['trigger']}" if answer["trigger"] else ""
    more += f", trails by {_distance(answer)}" if answer.get("trail") else ""
    return (
        f"{answer['id']}: {answer['side']} {answer['quantity']} {answer['symbol']} {answer['type']}: "
        f"{answer['state']} ({answer['detail']}){more}"
    )


def _distance(answer: Any) -> str:
    """Of a trail, so that who meant percent and wrote quote sees it."""
    kind, distance = answer["trail"]["kind"], float(answer["trail"]["distance"])
    if kind != "absolute":
        return f"{distance * 100:g} %" if kind == "percent" else f"{distance:g} ATR"
    share = f" ({distance / float(answer['best']):.2%} of the price)" if answer["best"] else ""
    return f"{distance:g} {answer['symbol'].partition('/')[2]}{share}"


def _protection(stop: str, target: str, trail: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    legs = (("stop_percent", "--with-stop", stop), ("take_profit_percent", "--with-target", target))
    for field, option, text in legs:
        if text:
            found[field] = _percent(text, option)
    if trail:
        found["trail"] = parse_trail(trail, "--with-trail")
    return found


def _percent(text: str, option: str) -> str:
    number = _PERCENT.fullmatch(text.strip())
    if number is None:
        raise CliError(exit_codes.USAGE, f"{option} {text!r}: write a number of percent, such as 2%.")
    if float(number[1]) < _LEAST_BARE and "%" not in text:
        raise CliError(
            exit_codes.USAGE, f"{option} {text!r}: this is a number of percent. Write {text.strip()}% if it is meant, "
            f"and {float(number[1]) * 100:g}% if it is a ratio.",
        )
    return number[1]


def _refine(
    trail: dict[str, str] | None, activation: str, limit_offset: str, price_source: str, break_even: str, decay: str,
    decay_floor: str,
) -> None:
    """Put the further options into the trail they belong to: that of --trail, else of --with-trail."""
    percents = (("limit_offset", limit_offset), ("break_even", break_even), ("decay", decay))
    found = {name: _percent(text, f"--{name.replace('_', '-')}") for name, text in percents if text}
    if activation:
        found["activation_price"] = activation.strip()
    if price_source:
        found["price_source"] = price_source.strip().lower().replace("-", "_")
    if decay_floor:
        is_percent = trail is not None and trail["kind"] == "percent"
        found["decay_floor"] = _percent(decay_floor, "--decay-floor") if is_percent else decay_floor.strip()
    if not found:
        return
    if trail is None:
        options = ", ".join(f"--{name.removesuffix('_price').replace('_', '-')}" for name in found)
        raise CliError(exit_codes.USAGE, f"{options}: belongs to a trail: give --trail or --with-trail too.")
    trail.update(found)


def parse_trail(text: str, option: str = "--trail") -> dict[str, str]:
    """`2%` -> percent, `2atr` -> atr, `150` -> absolute, in quote; raises `CliError`."""
    found = _TRAIL.fullmatch(text.strip())
    if found is None:
        raise CliError(
            exit_codes.USAGE, f"{option} {text!r}: write 2% (percent), 2atr (ATRs) or 150 (quote currency).",
        )
    kind = {"%": "percent", "atr": "atr"}.get((found[2] or "").lower(), "absolute")
    return {"kind": kind, "value": found[1]}


def parse_duration(text: str) -> int:
    """`90s`, `15m`, `2h`, `1d` or seconds -> seconds; raises `CliError`."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or int(found[1]) == 0:
        raise CliError(exit_codes.USAGE, f"--for {text!r}: write 90s, 15m, 2h or 1d.")
    return int(found[1]) * _SECONDS[found[2]]


def cancel(
    order_id: Annotated[str, typer.Argument(metavar="ID")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Cancel a working order."""
    if not order_id.strip():
        raise CliError(exit_codes.USAGE, "name the order: `tradingd orders` lists them.")
    answer = connect(config, data_dir).delete(f"/api/orders/{quote(order_id, safe='')}")
    say(answer, f"{answer['id']}: {answer['state']} ({answer['detail']})", as_json=json)


def close(
    symbol: Annotated[str, typer.Argument(help="Such as BTC/USDT.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every position.")] = False,
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Sell a position at market, or all of them."""
    if bool(symbol) == every:
        raise CliError(exit_codes.USAGE, "name one symbol, or give --all for every position.")
    client = connect(config, data_dir)
    path, body = ("close-all", None) if every else ("close", {"symbol": symbol})
    answer = client.post(f"/api/positions/{path}", body)
    made = f" with {', '.join(answer['orders'])}" if answer["orders"] else ""
    what = f"closing {', '.join(answer['symbols'])}{made}" if answer["symbols"] else "no position is open"
    say(answer, what, as_json=json)
    stays = [f"{each['symbol']} stays open: {each['message']} [{each['code']}]" for each in answer.get("refused", ())]
    if stays:
        raise CliError(exit_codes.REFUSED, "; ".join(stays))


def rebalance(
    weights: Annotated[str, typer.Argument(metavar="SYMBOL=WEIGHT,...", help="Such as BTC/USDT=0.2,ETH/USDT=0.1.")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Bring positions to target weights (shares of equity); symbols that are not named stay as they are."""
    wanted: dict[str, str] = {}
    for part in weights.split(","):
        symbol, found, weight = part.strip().partition("=")
        if not found or not symbol or not weight or symbol in wanted:
            raise CliError(exit_codes.USAGE, f"{part.strip()!r}: write SYMBOL=WEIGHT, each symbol once: BTC/USDT=0.2.")
        wanted[symbol] = weight
    answer = connect(config, data_dir).post("/api/positions/rebalance", {"weights": wanted})
    targets = ", ".join(f"{symbol} {weight}" for symbol, weight in answer["weights"].items())
    made = f", first with {', '.join(answer['orders'])}" if answer["orders"] else "; nothing is to be done right now"
    say(answer, f"rebalancing to {targets}{made}", as_json=json)


def deposit(
    amount: Annotated[str, typer.Argument(help="In the account's currency.")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Paper: put money into the account. It is no profit."""
    _move("deposit", amount, config, data_dir, as_json=json)


def withdraw(
    amount: Annotated[str, typer.Argument(help="In the account's currency.")],
    config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False,
) -> None:
    """Paper: take free money out of the account. It is no loss."""
    _move("withdraw", amount, config, data_dir, as_json=json)


def _move(verb: str, amount: str, config: Any, data_dir: Any, *, as_json: bool) -> None:
    answer = connect(config, data_dir).post(f"/api/account/{verb}", {"amount": amount})
    say(answer, f"the balance is {answer['balance']} {answer['quote']} ({answer['delta']})", as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (order, modify, cancel, close, rebalance, deposit, withdraw):
        app.command(rich_help_panel="Steer")(command)
