"""Columns of decimal numbers kept exactly, and read as float64 at numpy's speed.

Money must come back as the Decimal that went in; analytics want float64. Both come from one array: int64 in units of
10^-digits, which Parquet and DuckDB know as DECIMAL(18, digits). A float64 made of it is the one nearest to the decimal
number up to 15 significant digits, the same that parsing the text gives. Floats that are no short decimals (a source
that multiplied) are kept as they are, `digits` None; their Decimal is the shortest text that reads back as the float.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MOST_DIGITS: Final = 18
"""Significant digits of a number, before and after the point together."""
_SURE: Final = 10**15  # up to 15 digits a decimal number and its float64 name each other
_MOST: Final = 10**MOST_DIGITS
_PLAIN: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$"
_SAMPLE: Final = 256


class ExactColumnError(ValueError):
    """Numbers that cannot be kept exactly side by side."""


@dataclass(frozen=True, slots=True, eq=False)
class ExactColumn:
    """`values` is int64 in units of 10^-digits, or float64 with `digits` None."""

    values: Int64Array | Float64Array
    digits: int | None

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of_floats(cls, numbers: Float64Array) -> Self:
        """With as many digits as the longest number has; finite numbers only."""
        sample = numbers[:: max(1, len(numbers) // _SAMPLE)]
        for digits in range(MOST_DIGITS + 1):
            for some in (sample, numbers):
                scaled = np.rint(some * 10.0**digits)
                if len(some) and np.abs(scaled).max() >= _SURE:
                    return cls(numbers, None)
                if not np.array_equal(scaled / 10.0**digits, some):
                    break
            else:
                return cls(scaled.astype(np.int64), digits)
        return cls(numbers, None)

    @classmethod
    def of_decimals(cls, numbers: Iterable[Decimal]) -> Self:
        """Raises `ExactColumnError` for more digits than can be kept."""
        column, is_bad = cls.of_texts(texts_of([format(number, "f") for number in numbers]))
        if is_bad.any():
            raise ExactColumnError(f"a number of more than {MOST_DIGITS} digits")
        return cls(column.values, column.digits)

    @classmethod
    def of_texts(cls, texts: Any) -> tuple[Self, BoolArray]:
        """Numbers of an Arrow string array, and which of them are none (they become 0).

        None are: what is empty, no number, not finite, or longer than 18 digits. Raises `ExactColumnError` for numbers
        of more than 15 digits beside such of another size.
        """
        is_bad = np.zeros(len(texts), np.bool_)
        try:
            return cls._of_plain_texts(texts), is_bad
        except (pa.ArrowInvalid, ExactColumnError):
            pass
        plain = filled(pc.utf8_trim_whitespace(texts), "")
        fits = numbers_of(pc.match_substring_regex(plain, _PLAIN).cast(pa.int32())) == 1
        lengths = numbers_of(pc.binary_length(plain))
        is_odd = ~fits | (lengths > MOST_DIGITS)
        odd = [_plain_text(text) for text in plain.take(arrow_of(np.flatnonzero(is_odd))).to_pylist()]
        is_bad[is_odd] = [text is None for text in odd]
        mended = texts_of([text or "0" for text in odd]).cast(plain.type)
        checked = pc.replace_with_mask(plain, _mask_of(is_odd), mended)
        try:
            return cls._of_plain_texts(checked), is_bad
        except pa.ArrowInvalid:
            return cls._of_wide_texts(checked.to_pylist()), is_bad

    @classmethod
    def _of_plain_texts(cls, texts: Any) -> Self:
        if not len(texts):
            return cls(np.empty(0, np.int64), 0)
        if texts.null_count or _has_exponent(texts):
            raise ExactColumnError("not all plain numbers")
        has_point = pc.match_substring(texts, ".")
        if not pc.all(has_point).as_py():
            nothing, point = texts_of(["", "."]).cast(texts.type)
            texts = pc.if_else(has_point, texts, pc.binary_join_element_wise(texts, nothing, point))
        texts = pc.utf8_rtrim(texts, "0")
        digits = int(pc.max(pc.subtract(pc.binary_length(texts), pc.find_substring(texts, "."))).as_py()) - 1
        return cls(_integers(texts.cast(pa.decimal64(MOST_DIGITS, min(digits, MOST_DIGITS)))), digits)

    @classmethod
    def _of_wide_texts(cls, texts: Sequence[str]) -> Self:
        """Too large and too fine numbers in one column: float64 keeps each, if none has more than 15 digits."""
        for text in texts:
            short = text.rstrip("0") if "." in text else text
            if len(short.replace(".", "").lstrip("+-0")) > 15:
                raise ExactColumnError(f"{text[:40]} beside numbers so different in size: more digits than can be kept")
        return cls(np.array([float(text) for text in texts], np.float64), None)

    @classmethod
    def of_arrow(cls, column: Any) -> Self:
        """A DECIMAL or DOUBLE column of a Parquet file."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_decimal64(array.type):
            return cls(_integers(array), int(array.type.scale))
        return cls(np.asarray(numbers_of(array), np.float64), None)

    def to_arrow(self) -> Any:
        """DECIMAL(18, digits), or DOUBLE."""
        return arrow_of(self.values, None if self.digits is None else pa.decimal64(MOST_DIGITS, self.digits))

    def floats(self, out: Float64Array | None = None) -> Float64Array:
        """For analytics; written to `out` if there is one."""
        if self.digits is None and out is None:
            return self.values.astype(np.float64, copy=False)
        made: Float64Array = np.divide(self.values, 10.0 ** (self.digits or 0), out=out)
        return made

    def decimals(self) -> Sequence[Decimal]:
        """For money: the number that was stored."""
        if self.digits is None:
            return [Decimal(repr(number)) for number in self.values.tolist()]
        unit = Decimal(1).scaleb(-self.digits)  # 18 digits times one: exact, and half the price of `scaleb` for each
        return list(map(unit.__mul__, self.values.tolist()))

    def take(self, chosen: Any) -> Self:
        """The rows a numpy index or slice names."""
        return type(self)(self.values[chosen], self.digits)

    def shortest(self) -> Self:
        """The same numbers with no more digits than they need."""
        if self.digits is None:
            return self.of_floats(self.floats())
        values, digits = self.values, self.digits
        while digits and not (values[:_SAMPLE] % 10).any() and not (values % 10).any():
            values, digits = values // 10, digits - 1
        return type(self)(values, digits)

    @classmethod
    def concat(cls, columns: Sequence[Self]) -> Self:
        """One below the other, exactly; raises `ExactColumnError` when no type holds them together."""
        if any(column.digits is None for column in columns):
            return cls(np.concatenate([column._exact_floats() for column in columns]), None)
        digits = max(column.digits or 0 for column in columns)
        scaled = []
        for column in columns:
            factor = 10 ** (digits - (column.digits or 0))
            if factor == 1:
                scaled.append(column.values)
                continue
            if len(column) and int(np.abs(column.values).max()) * factor >= _MOST:
                shorter = [each.shortest() for each in columns]
                if max(each.digits or 0 for each in shorter) < digits:
                    return cls.concat(shorter)
                return cls(np.concatenate([each._exact_floats() for each in columns]), None)
            scaled.append(column.values * factor)
        return cls(np.concatenate(scaled).astype(np.int64, copy=False), digits)

    def _exact_floats(self) -> Float64Array:
        if self.digits is not None and len(self) and int(np.abs(self.values).max()) >= _SURE:
            raise ExactColumnError("a number of more than 15 digits beside numbers so different in size")
        return self.floats()


def arrow_of(values: Int64Array | Float64Array, kind: Any = None) -> Any:
    """An Arrow array over the numbers (of `kind`, if another than theirs); `pa.array` would load pandas."""
    plain = pa.float64() if values.dtype == np.float64 else pa.int64()
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind or plain, len(values), [None, buffer])


def texts_of(texts: Sequence[str]) -> Any:
    """An Arrow array of strings; `pa.array` would load pandas."""
    data = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, data)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(data), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(data))])


def _mask_of(marked: BoolArray) -> Any:
    bits = pa.py_buffer(np.packbits(marked, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(marked), [None, bits])


def numbers_of(column: Any) -> Any:
    """The numpy array under an Arrow column of int64 or float64, else a copy; `to_numpy` would load pandas."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kinds = {pa.int64(): "<i8", pa.int32(): "<i4", pa.float64(): "<f8"}
    if array.type not in kinds or array.null_count or not len(array):
        return array.to_numpy(zero_copy_only=False)
    return np.frombuffer(array.buffers()[1], kinds[array.type])[array.offset : array.offset + len(array)]


def filled(array: Any, value: object) -> Any:
    """An Arrow array without nulls. Most have none, and a scalar of Arrow's loads pandas: made for the others only."""
    return pc.fill_null(array, value) if array.null_count else array


def _has_exponent(texts: Any) -> bool:
    """May there be an e or E in the texts? One look at all bytes is quicker than at each text."""
    _, places, data = texts.buffers()
    if data is None:
        return False
    ends = np.frombuffer(places, np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    mine = np.frombuffer(data, np.uint8)[ends[texts.offset] : ends[texts.offset + len(texts)]]
    return bool((mine | 0x20 == ord("e")).any())


def _integers(array: Any) -> Int64Array:
    """The int64 under a decimal64 array."""
    values = np.frombuffer(array.buffers()[1], "<i8")
    return values[array.offset : array.offset + len(array)]


def _plain_text(text: str) -> str | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or "_" in text:
        return None
    plain = format(number, "f") if abs(number.adjusted()) <= 40 else ""
    whole, _, fraction = plain.lstrip("+-").partition(".")
    if not plain or len(whole.lstrip("0")) + len(fraction.rstrip("0")) > MOST_DIGITS:
        return None
    return plain
