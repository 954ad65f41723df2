"""How numbers are told to people in the sentences of checks and verdicts."""

from decimal import Decimal


def percent(ratio: Decimal) -> str:
    """A ratio as "5.2 %", to two digits after the point."""
    text = _to_places(ratio * 100, 2)
    return "less than 0.01 %" if text == "0" and ratio > 0 else f"{text} %"


def money(amount: Decimal, currency: str) -> str:
    """An amount to the cent, or to eight digits when it is smaller than that: "12.5 USDT"."""
    text = _to_places(amount, 2)
    if text == "0" and amount != 0:
        text = _to_places(amount, 8)
    return f"{text} {currency}"


def _to_places(value: Decimal, places: int) -> str:
    # format() and not round(): the latter refuses numbers of more than 28 digits, which a fat finger can type.
    text = format(value, f".{places}f").rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
