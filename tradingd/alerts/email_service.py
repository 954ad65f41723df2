"""E-mail by SMTP (RFC 5321), spoken in the loop: no thread that could hang on a dead server.

`smtps://host:465` is TLS from the start; `smtp://host:587` must offer STARTTLS before a password is sent, except on
this machine.
"""

import asyncio
import base64
import contextlib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from tradingd.alerts.alert import DeliveryError, Letter
from tradingd.plain_text import one_line
from tradingd.redaction import redact
from tradingd.settings_alerts import Level

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_MAX_LINES: Final = 100
_PORTS: Final = {"smtp": 587, "smtps": 465}


class EmailService:
    """One message to all recipients; tried again, to those who were refused. `user` "" sends without logging in."""

    max_text = 20_000

    def __init__(
        self, api_url: str, user: str, password: str, sender: str, recipients: tuple[str, ...], timeout_s: float
    ) -> None:
        parts = urlsplit(api_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._is_tls = parts.scheme == "smtps"
        self._user = user
        self._password = password
        self._sender = sender
        self._recipients = recipients
        self._timeout_s = timeout_s
        self._is_here = self._host in _LOOPBACK
        self._tls = ssl.create_default_context()  # reads all certificates: not while trading

    async def send(self, letter: Letter) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._deliver(letter)
        except TimeoutError as error:
            if self._lacking(letter):  # else it was taken, and only the farewell failed
                raise DeliveryError(f"{self._host} did not take the mail in time") from error
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise DeliveryError(redact(f"{self._host}: {type(error).__name__}: {error}")) from None

    async def close(self) -> None:
        """Nothing is kept open between messages."""

    def _compose(self, subject: str, text: str, level: Level) -> bytes:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = " ".join(subject.split())[:150]  # no line may begin a header of its own
        message["From"] = _address(self._sender)
        message["To"] = [_address(each) for each in self._recipients]
        message["Date"] = formatdate()
        message["Auto-Submitted"] = "auto-generated"
        if level == "critical":
            message["X-Priority"] = "1"
        message.set_content(text)
        return message.as_bytes()

    def _lacking(self, letter: Letter) -> list[str]:
        return [each for each in self._recipients if each not in letter.done]

    async def _deliver(self, letter: Letter) -> None:
        if not self._lacking(letter):
            return
        message = self._compose(letter.subject, letter.text, letter.level)
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._tls if self._is_tls else None
        )
        talk = _Conversation(reader, writer)
        try:
            await talk.expect(220)
            offers = await talk.say("EHLO tradingd", 250)
            if not self._is_tls and not self._is_here and "STARTTLS" in offers:
                await talk.say("STARTTLS", 220)
                await writer.start_tls(self._tls, server_hostname=self._host)
                offers = await talk.say("EHLO tradingd", 250)
            elif not self._is_tls and not self._is_here and self._user:
                raise DeliveryError(f"{self._host} offers no STARTTLS: the password was not sent", is_final=True)
            if self._user:
                await self._log_in(talk)
            await talk.say(f"MAIL FROM:<{self._sender}>", 250)
            failures = await self._hand_over(talk, message, letter)
            with contextlib.suppress(DeliveryError, OSError, asyncio.IncompleteReadError):
                await talk.say("QUIT", 221)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
        if failures:
            raise next((each for each in failures if not each.is_final), failures[0])

    async def _hand_over(self, talk: "_Conversation", message: bytes, letter: Letter) -> list[DeliveryError]:
        """To whom the server takes it for; the refusals of the others, whom one wrong address must not concern."""
        failures, taken = [], []
        for recipient in self._lacking(letter):
            try:
                await talk.say(f"RCPT TO:<{recipient}>", 250, 251)
            except DeliveryError as error:
                failures.append(DeliveryError(f"{recipient}: {error}", is_final=error.is_final))
            else:
                taken.append(recipient)
        if taken:
            await talk.say("DATA", 354)
            await talk.send(_dotted(message))
            await talk.expect(250)
            letter.done.update(taken)
        return failures

    async def _log_in(self, talk: "_Conversation") -> None:
        plain = base64.b64encode(f"\0{self._user}\0{self._password}".encode()).decode()
        await talk.say(f"AUTH PLAIN {plain}", 235)


class _Conversation:
    """Commands and replies of one SMTP session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, command: str, *wanted: int) -> str:
        await self.send(command.encode() + b"\r\n")
        return await self.expect(*wanted, command=command.split(" ")[0])

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def expect(self, *wanted: int, command: str = "") -> str:
        """The reply's text in capitals; raises `DeliveryError` for another code (4xx: try again; 5xx: do not)."""
        lines: list[str] = []
        for _ in range(_MAX_LINES):
            line = (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip()
            lines.append(line[4:])
            if line[3:4] != "-":
                break
        code = int(line[:3]) if line[:3].isdigit() else 0
        if code not in wanted:
            told = redact(f"the mail server refused {command or 'the connection'}: {one_line(line[:200])}")
            raise DeliveryError(told, is_final=code >= 500)
        return "\n".join(lines).upper()


def _address(text: str) -> Address:
    return Address(addr_spec=text)


def _dotted(message: bytes) -> bytes:
    """A leading dot is doubled, a lone one ends the message (RFC 5321, 4.5.2)."""
    lines = message.replace(b"\r\n", b"\n").split(b"\n")
    stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    return stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n"
