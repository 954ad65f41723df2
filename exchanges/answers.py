"""What a venue answered over HTTP, and the errors of having no answer or a refusal."""

from dataclasses import dataclass
from typing import Any


class VenueError(Exception):
    """The venue cannot be used for this: what happened, where, and what to do."""


class NoAnswerError(VenueError):
    """The venue could not be reached, gave nothing but failures, or wants silence: later it may be otherwise."""


class TransportError(Exception):
    """No answer that could be read: the request may or may not have been obeyed."""


class AnswerError(ValueError):
    """An answer about an order that is not what the venue documents, or is about another order."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status and JSON body (None when it was not JSON).

    `code` and `message` are Binance's error ones, 0 and "" otherwise; `retry_after_s` is 0 when not said.
    """

    status: int
    body: Any
    code: int = 0
    message: str = ""
    retry_after_s: float = 0.0

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300 and self.body is not None
