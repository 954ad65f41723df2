"""Text from outside, made harmless to show: a venue, a service or a person drives no terminal and forges no line."""

import re
from typing import Final

UNSAFE: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""For a character class: control characters, line and paragraph separators, and marks that turn the reading direction
(Unicode bidirectional algorithm, UAX 9, section 2).
"""
_UNSAFE_BUT_LINES: Final = re.compile(f"(?![\n\t])[{UNSAFE}]")


def one_line(text: str) -> str:
    """Line breaks and tabs become spaces, what else cannot be shown becomes `?`."""
    return text if text.isprintable() else "".join(_shown(sign) for sign in text.replace("\r\n", "\n"))


def some_lines(text: str) -> str:
    """As `one_line`, but line breaks and tabs stay: for text that we parted into lines ourselves."""
    return _UNSAFE_BUT_LINES.sub("?", text)


def _shown(sign: str) -> str:
    if sign in "\r\n\t\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        return " "
    return sign if sign.isprintable() else "?"
