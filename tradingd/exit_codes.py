"""Exit codes of the command line: one number for each kind of failure a script may want to tell apart."""

from typing import Final

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
CONFIGURATION: Final = 3
NOT_REACHABLE: Final = 4
NOT_AUTHORISED: Final = 5
REFUSED: Final = 6
NOT_FOUND: Final = 7
ALREADY_RUNNING: Final = 8

MEANINGS: Final[dict[int, str]] = {
    OK: "done",
    FAILURE: "something failed; the sentence on stderr says what",
    USAGE: "wrong options or arguments",
    CONFIGURATION: "a setting is missing, wrong or unsafe",
    NOT_REACHABLE: "no daemon answers, or it is not ready yet",
    NOT_AUTHORISED: "not allowed: a wrong or missing token, or a viewer's",
    REFUSED: "refused by the trading rules",
    NOT_FOUND: "no such order, position or symbol",
    ALREADY_RUNNING: "a daemon already runs on this data directory, port or account",
}
"""Each code and what it means, as `tradingd --help` prints them."""
