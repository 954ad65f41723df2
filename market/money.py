"""Exact money: strict parsing of decimal strings, and the shared constants.

Money, prices and quantities are `decimal.Decimal` everywhere in the product. The only way in from a wire
is `parse_decimal`, which refuses what a float-minded sender produces (numbers, NaN, exponents of absurd
size).
"""

import re
from decimal import Context, Decimal
from typing import Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

LARGEST_ACCOUNT: Final = Decimal(1_000_000_000)
"""In its currency: what a capital and a deposit may come to."""
EXACT: Final = Context(prec=120)
"""For sums that must come out to the last digit: products of parsed amounts have at most 72, none is rounded away."""

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?\Z")


class MoneyError(ValueError):
    """A value that was to be money is not an exact, finite decimal string."""


def parse_decimal(text: object, field: str = "value") -> Decimal:
    """An exact Decimal from a plain decimal string ("61837.63"); raises `MoneyError` naming `field`.

    Numbers (int or float), NaN, infinities, exponents, blanks and more than 18 digits on either side
    are refused: a JSON number has already lost digits before we see it.
    """
    if not isinstance(text, str):
        raise MoneyError(f"{field}: expected a decimal string such as \"0.10\", got {type(text).__name__}")
    if not _DECIMAL.match(text):
        raise MoneyError(f"{field}: {text[:40]!r} is not a plain decimal string such as \"0.10\"")
    return Decimal(text)


def to_text(value: Decimal) -> str:
    """Plain notation without exponent and without trailing zeros: Decimal("1E+3") -> "1000"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
