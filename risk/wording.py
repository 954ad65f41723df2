"""How numbers are told to people in the sentences of checks and verdicts."""

from decimal import Decimal
from typing import Final

from market.interval import SECOND_NS

_CENT: Final = Decimal("0.01")
_SMALLEST: Final = Decimal("0.00000001")


def percent(ratio: Decimal) -> str:
    """A ratio as "5.2 %", to two digits after the point; one below 0.01 % to its own first two digits."""
    value = ratio * 100
    places = 2
    if _SMALLEST <= abs(value) < _CENT:
        places = 1 - value.adjusted()
    text = _to_places(value, places)
    return f"less than {_SMALLEST:f} %" if text == "0" and ratio > 0 else f"{text} %"


def moment(ts_ns: int) -> str:
    """UTC nanoseconds as "2026-11-20T18:00:00Z", the fraction of a second dropped (days to dates: Hinnant, 2013)."""
    day, second = divmod(ts_ns // SECOND_NS, 86_400)
    era, day_of_era = divmod(day + 719_468, 146_097)  # years begin with March: the leap day is the last
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    date = f"{year:04d}-{month:02d}-{day_of_year - (153 * shifted + 2) // 5 + 1:02d}"
    return f"{date}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


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
