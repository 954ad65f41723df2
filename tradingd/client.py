"""A small synchronous HTTP client for the daemon's API: standard library only, so that commands start fast."""

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT_S: Final = 10.0
MAX_ANSWER: Final = 64 * 1024 * 1024


class NotReachableError(RuntimeError):
    """No daemon answers at this URL."""


class AnswerLostError(NotReachableError):
    """It was asked and gave no answer: nobody knows whether what was asked for is done."""


class AnswerError(RuntimeError):
    """The daemon said no: HTTP `status`, `code` for machines, `message` for people."""

    def __init__(self, status: int, code: str, message: str, body: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.body = body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The daemon never redirects; following one would carry the token elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to one daemon. `url` as in run.json; `token` "" for what is open to all."""

    url: str
    token: str = ""
    timeout_s: float = TIMEOUT_S

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        return self.call("POST", path, body, headers)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        """The parsed JSON answer; raises `AnswerError` for 4xx and 5xx, `NotReachableError` when nobody answers,
        `AnswerLostError` when it was asked and nobody did.
        """
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, data, sent, method=method)  # noqa: S310 - URL of run.json
        # No proxy of the environment: the daemon is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        try:
            with opener.open(request, timeout=self.timeout_s) as answer:
                return _parse(answer.read(MAX_ANSWER), answer.status)
        except urllib.error.HTTPError as error:
            with error:
                raise _said_no(error) from error
        except urllib.error.URLError as error:  # before the request was out
            raise NotReachableError(f"no daemon answers at {self.url} ({error.reason})") from error
        except (OSError, http.client.HTTPException) as error:
            raise AnswerLostError(f"{self.url} was asked and gave no answer ({error})") from error


def _parse(text: bytes, status: int) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise AnswerError(status, "NOT_JSON", "the answer is not JSON: another program listens there", {}) from error


def _said_no(error: urllib.error.HTTPError) -> AnswerError:
    try:
        body = json.loads(error.read(MAX_ANSWER))
    except (ValueError, OSError, http.client.HTTPException):
        body = None
    if not isinstance(body, dict):
        body = {}
    code, message = str(body.get("code", "")), str(body.get("message", f"HTTP {error.code}"))
    return AnswerError(error.code, code, message, body)
