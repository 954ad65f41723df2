"""What a usage error says beyond the words of the library that finds it; for both command lines."""

import re


def mention_negative_numbers(error: Exception) -> None:
    """A usage error's words: what looks like an option may have been meant as a number."""
    option = str(getattr(error, "option_name", ""))
    if re.fullmatch(r"-[\d.]", option) and hasattr(error, "message"):
        error.message = (
            f"No such option: {option}. An argument that begins with - is taken for one. Write -- before a number "
            "below 0; few arguments may be such."
        )
