"""Each service in its own protocol, against a loopback server that speaks it."""

import asyncio
import base64
import email
import email.policy
import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.tradingd.alerts.loopback import CHAT, TOKEN, Smtp, Telegram, http_server, smtp_server
from tradingd.alerts.alert import DeliveryError, Letter, Service
from tradingd.alerts.make_service import make_service
from tradingd.settings_alerts import AlertChannelSettings
from tradingd.settings_errors import ConfigError


def service(**values: Any) -> Service:
    return make_service("phone", AlertChannelSettings.model_validate(values), 2.0)


async def delivered(wanted: Service, text: str = "x < y & z") -> None:
    try:
        await wanted.send(Letter("[tradingd] a title", text, "critical"))
    finally:
        await wanted.close()


class Recorder:
    """Answers each request with the next of `answers` (status, text), the last one again and again."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[web.Request, bytes]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        status, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text=text, headers={"Retry-After": "3"} if status == 429 else {})


# ---- telegram ----------------------------------------------------------------------------------------


async def test_telegram_gets_the_text_as_it_is_in_each_chat() -> None:
    telegram = Telegram()
    async with http_server(telegram) as url:
        await delivered(service(service="telegram", token=TOKEN, api_url=url, to=[CHAT, "@ops"]))
    assert telegram.texts == ["x < y & z", "x < y & z"]
    assert [each["chat_id"] for each in telegram.sent] == [CHAT, "@ops"]
    assert "parse_mode" not in telegram.sent[0]


async def test_a_busy_telegram_says_how_long_to_wait() -> None:
    telegram = Telegram()
    busy = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 9}}
    telegram.refuse.append((429, busy))
    async with http_server(telegram) as url:
        with pytest.raises(DeliveryError) as caught:
            await delivered(service(service="telegram", token=TOKEN, api_url=url, to=[CHAT]))
    assert caught.value.retry_after_s == 9
    assert not caught.value.is_final


async def test_who_got_it_already_does_not_get_it_again() -> None:
    telegram = Telegram()
    telegram.refuse.append((500, {"ok": False, "description": "later"}))
    async with http_server(telegram) as url:
        wanted = service(service="telegram", token=TOKEN, api_url=url, to=[1, 2])
        letter = Letter("t", "same", "info")
        with pytest.raises(DeliveryError):
            await wanted.send(letter)
        await wanted.send(letter)
        await wanted.close()
    assert sorted(each["chat_id"] for each in telegram.sent) == [1, 2]


async def test_a_wrong_token_is_final_and_is_not_repeated_in_the_error() -> None:
    async with http_server(Telegram()) as url:
        with pytest.raises(DeliveryError) as caught:
            await delivered(service(service="telegram", token="999:wrong_but_secret_enough", api_url=url, to=["5"]))
    assert caught.value.is_final
    assert "wrong_but_secret" not in str(caught.value)


async def test_a_server_that_is_away_is_told_without_the_token() -> None:
    with pytest.raises(DeliveryError) as caught:
        await delivered(service(service="telegram", token=TOKEN, api_url="http://127.0.0.1:1", to=[CHAT]))
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(caught.value.__cause__)
    assert not caught.value.is_final


# ---- slack, twilio, webhook --------------------------------------------------------------------------


async def test_slack_webhooks_get_escaped_text() -> None:
    slack = Recorder((200, "ok"))
    async with http_server(slack) as url:
        await delivered(service(service="slack", token="T0/B0/secretpart", api_url=f"{url}/services"))
    request, body = slack.requests[0]
    assert request.path == "/services/T0/B0/secretpart"
    assert b'"x &lt; y &amp; z"' in body


async def test_slack_bots_write_to_each_channel() -> None:
    slack = Recorder((200, '{"ok":true}'))
    async with http_server(slack) as url:
        await delivered(service(service="slack", token="xoxb-1-secret", api_url=f"{url}/api", to=["#a", "#b"]))
    assert [request.path for request, _ in slack.requests] == ["/api/chat.postMessage"] * 2
    assert slack.requests[0][0].headers["Authorization"] == "Bearer xoxb-1-secret"


async def test_tried_again_a_slack_bot_writes_only_to_the_channels_that_have_not_heard() -> None:
    slack = Recorder((200, '{"ok":true}'), (429, "later"), (200, '{"ok":true}'))
    async with http_server(slack) as url:
        service_ = service(service="slack", token="xoxb-1-secret", api_url=url, to=["#a", "#b"])
        letter = Letter("title", "text", "info")
        with pytest.raises(DeliveryError) as caught:
            await service_.send(letter)
        await service_.send(letter)
        await service_.close()
    assert caught.value.retry_after_s == 3
    asked = Counter(json.loads(body)["channel"] for _, body in slack.requests)
    assert sorted(asked.values()) == [1, 2]


@pytest.mark.parametrize(("answer", "is_final"), [
    ((200, '{"ok":false,"error":"invalid_auth"}'), True), ((200, '{"ok":false,"error":"ratelimited"}'), False),
    ((200, "<html>"), True), ((503, "later"), False), ((404, "no_team"), True),
])
async def test_a_slack_that_refuses_says_whether_to_try_again(answer: tuple[int, str], is_final: bool) -> None:
    async with http_server(Recorder(answer)) as url:
        with pytest.raises(DeliveryError) as caught:
            await delivered(service(service="slack", token="xoxb-1-secret", api_url=url, to=["#a"]))
    assert caught.value.is_final is is_final


async def test_twilio_gets_a_form_and_basic_authentication() -> None:
    twilio = Recorder((201, '{"sid":"SM1","status":"queued"}'))
    async with http_server(twilio) as url:
        await delivered(service(
            service="twilio", user="AC1", token="authsecret", api_url=url, sender="+15550001", to="+15550002"
        ))
    request, body = twilio.requests[0]
    assert request.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert request.headers["Authorization"] == f"Basic {base64.b64encode(b'AC1:authsecret').decode()}"
    assert parse_qs(body.decode()) == {"To": ["+15550002"], "From": ["+15550001"], "Body": ["x < y & z"]}


async def test_twilio_numbers_that_got_it_are_not_texted_again() -> None:
    twilio = Recorder((503, '{"message":"busy"}'), (201, "{}"))
    async with http_server(twilio) as url:
        wanted = service(service="twilio", user="AC1", token="authsecret", api_url=url, sender="+1", to=["+2", "+3"])
        letter = Letter("t", "text", "critical")
        with pytest.raises(DeliveryError, match="busy") as caught:
            await wanted.send(letter)
        await wanted.send(letter)
        await wanted.close()
    assert not caught.value.is_final
    assert sorted(Counter(parse_qs(body.decode())["To"][0] for _, body in twilio.requests).values()) == [1, 2]


async def test_a_chat_that_hangs_keeps_no_other_from_hearing() -> None:
    telegram = Telegram()

    async def hangs_for_one(request: web.Request) -> web.StreamResponse:
        if json.loads(await request.read())["chat_id"] == 1:
            await asyncio.sleep(3600)
        return await telegram(request)

    async with http_server(hangs_for_one) as url:
        wanted = make_service("phone", AlertChannelSettings.model_validate(
            {"service": "telegram", "token": TOKEN, "api_url": url, "to": [1, 2]}
        ), 0.2)
        letter = Letter("t", "text", "critical")
        with pytest.raises(DeliveryError, match="in time"):
            await wanted.send(letter)
        await wanted.close()
    assert [each["chat_id"] for each in telegram.sent] == [2]
    assert letter.done == {"2"}


@pytest.mark.parametrize("answer", [
    '{"ok":false,"parameters":{"retry_after":' + "9" * 400 + "}}", '{"ok":false,"parameters":{"retry_after":NaN}}',
    '{"ok":false,"parameters":{"retry_after":-5}}', '{"ok":false,"parameters":[]}', "[1]", "null", '{"ok":"true"}',
    '{"ok":1,"result":{}}', "\x1b[31m\n2026-11-28 FAKE", "{" * 5000,
])
async def test_whatever_a_service_answers_becomes_a_failure_of_one_harmless_line(answer: str) -> None:
    async with http_server(Recorder((429, answer))) as url:
        with pytest.raises(DeliveryError) as caught:
            await delivered(service(service="telegram", token=TOKEN, api_url=url, to=[CHAT]))
    assert str(caught.value).isprintable()
    assert 0 <= caught.value.retry_after_s <= 86_400


async def test_a_webhook_gets_json_and_a_bearer() -> None:
    hook = Recorder((204, ""))
    async with http_server(hook) as url:
        await delivered(service(service="webhook", token="hooksecret", api_url=f"{url}/here?x=1"))
    request, body = hook.requests[0]
    assert request.path_qs == "/here?x=1"
    assert request.headers["Authorization"] == "Bearer hooksecret"
    assert b'"level": "critical"' in body or b'"level":"critical"' in body


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    seen: list[str] = []

    async def sends_elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with http_server(sends_elsewhere) as url:
        with pytest.raises(DeliveryError, match="307"):
            await delivered(service(service="webhook", token="hooksecret", api_url=f"{url}/a"))
    assert seen == ["/a"]


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 65_536)
        return response

    async with http_server(endless) as url:
        with pytest.raises(DeliveryError, match="too large"):
            await delivered(service(service="webhook", api_url=url))


async def test_apprise_reaches_what_it_knows_by_url() -> None:
    hook = Recorder((200, "ok"))
    async with http_server(hook) as url:
        await delivered(service(service="apprise", token=url.replace("http://", "json://") + "/any"))
    assert hook.requests[0][0].path == "/any"


# ---- e-mail ------------------------------------------------------------------------------------------


def mail(url: str, **more: Any) -> Service:
    return service(
        service="email", api_url=url, sender="bot@example.org", to=["ann@example.org", "bob@example.org"], **more
    )


async def test_a_mail_reaches_all_recipients_with_its_text_unharmed() -> None:
    smtp = Smtp("ann", "mailsecret")
    async with smtp_server(smtp) as url:
        await delivered(mail(url, user="ann", token="mailsecret"), "first\n.\n..dots\nprofit 5 € ü")
    assert smtp.logged_in
    assert smtp.recipients == ["TO:<ann@example.org>", "TO:<bob@example.org>"]
    message = email.message_from_bytes(smtp.mails[0], policy=email.policy.default)
    assert message["Subject"] == "[tradingd] a title"
    assert message["To"] == "ann@example.org, bob@example.org"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == "first\n.\n..dots\nprofit 5 € ü"


async def test_a_title_cannot_add_headers() -> None:
    smtp = Smtp()
    async with smtp_server(smtp) as url:
        wanted = mail(url)
        await wanted.send(Letter("hello\r\nBcc: evil@example.org", "text", "info"))
    message = email.message_from_bytes(smtp.mails[0], policy=email.policy.default)
    assert message["Bcc"] is None
    assert message["Subject"] == "hello Bcc: evil@example.org"


@pytest.mark.parametrize(("verb", "answer", "is_final"), [
    ("RCPT", "550 5.1.1 no such user", True), ("MAIL", "451 4.3.0 later", False), ("AUTH", "535 5.7.8 bad", True),
])
async def test_a_mail_server_that_refuses_is_believed(verb: str, answer: str, is_final: bool) -> None:
    smtp = Smtp("ann", "mailsecret")
    smtp.refuse[verb] = answer
    async with smtp_server(smtp) as url:
        with pytest.raises(DeliveryError) as caught:
            await delivered(mail(url, user="ann", token="mailsecret"))
    assert caught.value.is_final is is_final
    assert "mailsecret" not in str(caught.value)


@pytest.mark.parametrize(("answer", "is_final"), [
    ("550 5.1.1 no such user", True), ("451 4.7.1 greylisted", False),
])
async def test_a_recipient_who_is_refused_keeps_no_other_from_the_mail(answer: str, is_final: bool) -> None:
    smtp, letter = Smtp(), Letter("a title", "KILL SWITCH", "critical")
    smtp.refuse["RCPT TO:<bob@example.org>"] = answer
    async with smtp_server(smtp) as url:
        wanted = mail(url)
        for _ in range(2):
            with pytest.raises(DeliveryError, match=r"bob@example\.org: .*refused RCPT") as caught:
                await wanted.send(letter)
            assert caught.value.is_final is is_final
            assert (smtp.recipients, len(smtp.mails)) == (["TO:<ann@example.org>"], 1)
        smtp.refuse.clear()
        for _ in range(2):
            await wanted.send(letter)
    assert smtp.recipients == ["TO:<ann@example.org>", "TO:<bob@example.org>"]
    assert [b"KILL SWITCH" in each for each in smtp.mails] == [True, True]


async def test_of_two_refused_recipients_the_one_who_may_yet_get_it_decides() -> None:
    smtp = Smtp()
    smtp.refuse = {"RCPT TO:<ann@example.org>": "550 no such user", "RCPT TO:<bob@example.org>": "451 later"}
    async with smtp_server(smtp) as url:
        with pytest.raises(DeliveryError, match="bob@example") as caught:
            await delivered(mail(url))
    assert not caught.value.is_final
    assert smtp.mails == []


async def test_a_mail_that_was_taken_is_not_sent_again_because_the_farewell_hung() -> None:
    smtp, letter = Smtp(), Letter("a title", "text", "critical")
    smtp.hangs_on_quit = True
    async with smtp_server(smtp) as url:
        await mail(url).send(letter)
    assert len(smtp.mails) == 1


async def test_a_silent_mail_server_is_given_up() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = AlertChannelSettings(service="email", api_url=url, sender="a@b.c", to=("d@e.f",))
    with pytest.raises(DeliveryError, match="in time"):
        await make_service("m", settings, 0.05).send(Letter("t", "t", "info"))
    await gone.wait()
    server.close()
    await server.wait_closed()


# ---- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "says"), [
    ({"service": "telegram"}, "needs to"),
    ({"service": "telegram", "to": 1, "api_url": "http://telegram.example.org"}, "in the clear"),
    ({"service": "telegram", "to": 1, "api_url": "ftp://127.0.0.1"}, "must begin with"),
    ({"service": "slack", "api_url": "https://user:pass@hooks.slack.com"}, "user or password"),
    ({"service": "slack", "commands": True}, "telegram only"),
    ({"service": "telegram", "to": 1, "commands": True}, "allow_users"),
    ({"service": "email", "api_url": "http://x", "sender": "a", "to": "b"}, "smtp://"),
    ({"service": "webhook", "api_url": "http://127.0.0.1", "quiet_hours": ["late"]}, "no period"),
    ({"service": "pager"}, "telegram"),
])
def test_a_channel_that_cannot_work_is_refused_with_a_reason(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AlertChannelSettings.model_validate(values)


@pytest.mark.parametrize("values", [
    {"service": "telegram", "to": 1}, {"service": "slack"}, {"service": "apprise"},
    {"service": "twilio", "user": "AC1", "sender": "+1", "to": "+2"},
    {"service": "email", "user": "ann", "api_url": "smtp://127.0.0.1", "sender": "a@b.c", "to": "d@e.f"},
])
def test_a_missing_secret_is_named_with_where_to_put_it(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="TRADINGD__ALERTS__PHONE__TOKEN"):
        service(**values)


def test_a_bearer_does_not_travel_in_the_clear() -> None:
    with pytest.raises(ConfigError, match="in the clear"):
        service(service="webhook", api_url="http://example.org/hook", token="hooksecret")


def test_an_unknown_apprise_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as caught:
        service(service="apprise", token="nosuchscheme://secretpart")
    assert "secretpart" not in str(caught.value)
