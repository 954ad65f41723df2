"""Conversations with the bot over a loopback Bot API: who is heard, what is asked twice, and what never waits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bus.ids import ClientOrderId
from bus.messages import orders, system
from bus.messages.orders import CancelAllOrders, EngageKillSwitch, ReleaseKillSwitch
from bus.messages.system import VoteTradingState
from tests.tradingd.alerts.loopback import CHAT, TOKEN, USER, Telegram, http_server, until
from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd.alerts.confirmation import Confirmations
from tradingd.alerts.telegram_api import MAX_TEXT, MOST_PARTS, TelegramApi, in_parts
from tradingd.alerts.telegram_bot import TelegramBot


class Scene:
    def __init__(self, folder: Path) -> None:
        self.telegram = Telegram()
        self.daemon = SmallDaemon(settings_in(folder))
        self.wall = 1_760_000_000.0
        self.clock = 0.0
        self.problems: list[str] = []
        self.telegram.now = lambda: self.wall
        self.bot: TelegramBot

    @asynccontextmanager
    async def running(self, token: str = TOKEN) -> AsyncIterator["Scene"]:
        async with http_server(self.telegram) as url:
            self.bot = TelegramBot(
                TelegramApi(url, token, 2.0), self.daemon, chats=(str(CHAT), "-100"), users=(str(USER), "8"),
                on_problem=self.problems.append, wall=lambda: self.wall, monotonic=lambda: self.clock, poll_s=1,
            )
            task = asyncio.create_task(self.bot.run())
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.wait((task,))
                await self.bot.close()

    async def ask(self, text: str, **more: Any) -> str:
        """What the bot answers."""
        before = len(self.telegram.sent)
        self.telegram.says(text, **more)
        return (await self.telegram.heard(before + 1))[-1]

    async def heard_nothing_of(self, *updates: str, **more: Any) -> None:
        """The bot has read these words and one after them, and answered that one only."""
        for text in updates:
            self.telegram.says(text, **more)
        before = len(self.telegram.sent)
        self.telegram.says("/help")
        assert (await self.telegram.heard(before + 1))[-1].startswith("/status")
        assert len(self.telegram.sent) == before + 1


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def code_in(answer: str) -> str:
    return answer.split("answer ")[1][:6]


@pytest.mark.parametrize("text", ["/kill\nthe house burns", "/kill\tthe house burns", "/KILL@our_bot the house burns"])
async def test_a_kill_is_understood_however_its_words_are_parted(scene: Scene, text: str) -> None:
    async with scene.running():
        await until(lambda: "getMe" in scene.telegram.asked)
        assert "KILL SWITCH engaged: cancel" in await scene.ask(text)
    assert scene.daemon.commands == [EngageKillSwitch("cancel", "the house burns", "telegram-7")]


async def test_a_command_for_another_bot_of_the_group_is_not_ours(scene: Scene) -> None:
    async with scene.running():
        await until(lambda: "getMe" in scene.telegram.asked)
        await scene.heard_nothing_of("/pause@their_bot", "/kill@their_bot flatten", "/status@their_bot")
    assert not scene.daemon.commands


async def test_words_that_came_out_of_order_or_twice_are_each_obeyed_once(scene: Scene) -> None:
    async with scene.running():
        first, second, third = (scene.telegram.made(text) for text in ("/pause", "/positions", "/orders"))
        scene.telegram.give(third, first, second, second)
        answers = await scene.telegram.heard(3)
    assert [answers[0].split()[0], *answers[1:]] == ["trading", "nothing is held", "no order works"]
    assert scene.daemon.commands == [VoteTradingState("operator", "REDUCING", "paused by telegram-7")]


async def test_people_who_talk_in_a_group_are_not_answered_and_in_private_are_told_what_is_understood(
    scene: Scene,
) -> None:
    async with scene.running():
        await scene.heard_nothing_of("good morning", "", "/", chat=-100)
        assert await scene.ask("good morning") == "I understand commands only: /help names them"


@pytest.mark.parametrize("result", [[], [{}], [{"update_id": True}], [{"update_id": -7}], {"a": 1}, None, "text"])
async def test_a_telegram_that_answers_nothing_at_once_is_not_asked_all_the_time(scene: Scene, result: object) -> None:
    polls = 0

    async def answers_at_once(request: web.Request) -> web.StreamResponse:
        nonlocal polls
        polls += request.path.endswith("/getUpdates")
        return web.json_response({"ok": True, "result": result})

    async with http_server(answers_at_once) as url:
        bot = TelegramBot(TelegramApi(url, TOKEN, 2.0), scene.daemon, chats=("1",), users=("1",), poll_s=1)
        task = asyncio.create_task(bot.run())
        begun = asyncio.get_running_loop().time()
        await until(lambda: polls >= 2)
        assert asyncio.get_running_loop().time() - begun >= 0.25
        task.cancel()
        await asyncio.wait((task,))
        await bot.close()


async def test_strangers_cannot_fill_the_log(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    async with scene.running():
        for user in (*range(1000, 1080), 1000):
            scene.telegram.says("/status", user=user)
        await scene.ask("/status")
    assert scene.bot.counters.strangers == 81
    assert caplog.text.count("are ignored") == 50


@pytest.mark.parametrize(("text", "says"), [
    ("/status", "wrong since 2025-10-09T08:53:20: the moon is full"), ("/status@our_bot", "ACTIVE (paper, practice)"),
    ("/positions", "nothing is held"), ("/orders", "no order works"), ("/profit", "0 round trips"),
    ("/explain", "there is no order yet"), ("/explain nonsense", "no order nonsense"), ("/HELP", "/unlock"),
    ("/dance", "/help names them"),
])
async def test_it_answers_those_who_may_ask(scene: Scene, text: str, says: str) -> None:
    async with scene.running():
        assert says in await scene.ask(text)
    assert scene.daemon.commands == []


async def test_strangers_other_chats_and_forwarded_words_are_counted_and_not_answered(scene: Scene) -> None:
    async with scene.running():
        await scene.heard_nothing_of("/kill", user=666)
        await scene.heard_nothing_of("/kill", chat=43)
        await scene.heard_nothing_of("/kill", forward_origin={"type": "user"})
        await scene.heard_nothing_of("/kill", sender_chat={"id": CHAT})
        await scene.heard_nothing_of("/kill", forward_from={"id": USER})
        await scene.heard_nothing_of("/kill", **{"from": {"id": USER, "is_bot": True}})
    assert scene.bot.counters.strangers == 6
    assert scene.daemon.commands == []


async def test_an_answer_that_telegram_has_no_time_for_is_given_again(scene: Scene) -> None:
    busy = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}}
    scene.telegram.refuse = [(429, busy)]
    async with scene.running():
        assert await scene.ask("/positions") == "nothing is held"
    assert scene.bot.counters.answers_dropped == 0


def test_a_long_answer_goes_in_parts_that_telegram_takes() -> None:
    lines = [f"{number}: " + "\U0001f600" * 60 for number in range(120)]
    parts = in_parts("\n".join(lines))
    assert 1 < len(parts) <= MOST_PARTS
    assert all(0 < len(part.encode("utf-16-le")) // 2 <= MAX_TEXT for part in parts)
    assert "\n".join(parts) == "\n".join(lines)
    endless = in_parts("x" * 100_000)
    assert len(endless) == MOST_PARTS
    assert endless[-1].endswith("tells all of it)")
    assert all(len(part) <= MAX_TEXT for part in endless)
    assert in_parts("short") == ["short"]


@pytest.mark.parametrize("age_s", [61, 3600, -61])
async def test_old_words_and_words_from_the_future_are_counted_and_not_obeyed(scene: Scene, age_s: float) -> None:
    async with scene.running():
        await scene.heard_nothing_of("/kill", "/pause", age_s=age_s)
    assert scene.bot.counters.stale == 2
    assert scene.daemon.commands == []


async def test_a_pause_is_obeyed_at_once(scene: Scene) -> None:
    async with scene.running():
        answer = await scene.ask("/pause")
    assert answer.startswith("trading is REDUCING")
    assert scene.daemon.commands == [VoteTradingState("operator", "REDUCING", f"paused by telegram-{USER}")]


@pytest.mark.parametrize(("text", "action", "reason"), [
    ("/kill", "cancel", "over telegram"), ("/kill halt", "halt", "over telegram"),
    ("/kill cancel news at three", "cancel", "news at three"), ("/kill it burns", "cancel", "it burns"),
])
async def test_a_kill_that_sells_nothing_is_obeyed_at_once(scene: Scene, text: str, action: Any, reason: str) -> None:
    async with scene.running():
        answer = await scene.ask(text)
    assert answer.startswith(f"KILL SWITCH engaged: {action}")
    assert scene.daemon.commands == [EngageKillSwitch(action, reason, f"telegram-{USER}")]


@pytest.mark.parametrize(("text", "command"), [
    ("/kill flatten now", EngageKillSwitch("flatten", "now", f"telegram-{USER}")),
    ("/start", VoteTradingState("operator", "ACTIVE", f"started by telegram-{USER}")),
    ("/resume", VoteTradingState("operator", "ACTIVE", f"resumed by telegram-{USER}")),
    ("/stop", VoteTradingState("operator", "REDUCING", f"stopped by telegram-{USER}")),
])
@pytest.mark.parametrize("way", ["{}", "/confirm {}"])
async def test_what_moves_money_needs_the_code(scene: Scene, text: str, command: object, way: str) -> None:
    async with scene.running():
        code = code_in(await scene.ask(text))
        assert scene.daemon.commands == []
        await scene.ask(way.format(code))
        assert scene.daemon.commands[0] == command
        assert "no open code" in await scene.ask(code)
    assert scene.daemon.commands.count(command) == 1


async def test_unlocking_needs_the_code(scene: Scene) -> None:
    async with scene.running():
        await scene.ask("/kill halt")
        code = code_in(await scene.ask("/unlock all is well"))
        assert scene.daemon.read_model.kill is not None
        assert "released" in await scene.ask(code)
    assert scene.daemon.commands[-1] == ReleaseKillSwitch(f"telegram-{USER}", "all is well")


async def test_a_stop_cancels_waiting_entries(scene: Scene) -> None:
    async with scene.running():
        answer = await scene.ask(code_in(await scene.ask("/stop")))
    assert "cancelled 0 entries" in answer
    assert isinstance(scene.daemon.commands[1], CancelAllOrders)


@pytest.mark.parametrize("who", [{"user": 8}, {"chat": -100}])
async def test_a_code_is_good_for_who_asked_and_where_only(scene: Scene, who: dict[str, int]) -> None:
    async with scene.running():
        code = code_in(await scene.ask("/kill flatten"))
        assert "nothing was done" in await scene.ask(code, **who)
    assert scene.daemon.commands == []
    assert scene.bot.counters.wrong_codes == 1


async def test_a_code_is_good_for_sixty_seconds(scene: Scene) -> None:
    async with scene.running():
        code = code_in(await scene.ask("/kill flatten"))
        scene.clock = 60.0
        assert "nothing was done" in await scene.ask(code)
    assert scene.daemon.commands == []


async def test_three_wrong_codes_end_the_question(scene: Scene) -> None:
    async with scene.running():
        code = code_in(await scene.ask("/kill flatten"))
        wrong = "000000" if code != "000000" else "111111"
        for _ in range(3):
            await scene.ask(wrong)
        assert "nothing was done" in await scene.ask(code)
    assert scene.daemon.commands == []


async def test_a_question_can_be_withdrawn(scene: Scene) -> None:
    async with scene.running():
        code = code_in(await scene.ask("/kill flatten"))
        assert await scene.ask("/cancel") == "forgotten"
        assert "nothing was done" in await scene.ask(code)
    assert scene.daemon.commands == []


async def test_a_kill_does_not_wait_for_answers_that_are_not_delivered(scene: Scene) -> None:
    scene.telegram.hangs_on_send = True
    async with scene.running():
        for text in ("/status", "/orders", "/profit"):
            scene.telegram.says(text)
        scene.telegram.says("/kill halt fire")
        await until(lambda: scene.daemon.commands)
    assert scene.telegram.sent == []
    assert scene.daemon.commands == [EngageKillSwitch("halt", "fire", f"telegram-{USER}")]


async def test_the_kill_of_a_batch_comes_first(scene: Scene) -> None:
    batch = [scene.telegram.says(text) for text in ("/pause", "/status", "/kill halt")]
    async with scene.running():
        await until(lambda: len(scene.daemon.commands) >= 2)
        assert isinstance(scene.daemon.commands[0], EngageKillSwitch)
        await scene.bot.take(batch)  # the same updates again are not new
    assert len(scene.daemon.commands) == 2


class AtVenue(SmallDaemon):
    """As the engine: an entry at the venue ends when the venue says so, and a latch never becomes milder."""

    def _obey(self, body: object) -> Iterator[object]:
        kill = self.read_model.kill
        if isinstance(body, orders.CancelAllOrders):
            for record in self.read_model.order_fold.working():
                yield orders.OrderPendingCancel(ClientOrderId(record.id), record.spec.symbol, body.reason)
        elif isinstance(body, orders.EngageKillSwitch) and kill is not None:
            yield system.KillSwitchEngaged(max(body.action, kill.action, key=("halt", "cancel").index), "x", body.by)
        else:
            yield from super()._obey(body)


async def test_a_stop_says_what_the_venue_has_not_confirmed(scene: Scene, tmp_path: Path) -> None:
    scene.daemon = AtVenue(settings_in(tmp_path))
    for number in range(2):
        limit = orders.SubmitOrder(
            ClientOrderId(f"a{number}"), "BTC/USDT", "buy", "limit", Decimal("0.1"), "manual", price=Decimal(90),
        )
        await scene.daemon.execute(limit, by="me")
    async with scene.running():
        told = await scene.ask(code_in(await scene.ask("/stop")))
    assert "cancelled 0 entries; the exchange was asked to cancel 2 and has not confirmed it yet" in told


async def test_a_kill_after_a_rules_says_what_holds(scene: Scene, tmp_path: Path) -> None:
    scene.daemon = AtVenue(settings_in(tmp_path))
    scene.daemon.fact(system.KillSwitchEngaged("cancel", "loss", system.BY_RULE))
    async with scene.running():
        assert "KILL SWITCH engaged: cancel" in await scene.ask("/kill halt")


async def test_an_engaged_switch_is_not_made_milder(scene: Scene) -> None:
    async with scene.running():
        await scene.ask(code_in(await scene.ask("/kill flatten")))
        assert "engaged already (flatten" in await scene.ask("/kill halt")
    assert len(scene.daemon.commands) == 1


async def test_an_engine_that_does_not_answer_is_told(scene: Scene) -> None:
    scene.daemon.is_mute = True
    async with scene.running():
        assert "not done: the engine does not answer" in await scene.ask("/kill")


async def test_a_refused_token_is_a_problem_of_now(scene: Scene) -> None:
    async with scene.running(token="1:wrong"):
        await until(lambda: scene.problems)
    assert "Unauthorized" in scene.problems[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["update_id", "message", "text", "from", "chat", "id", "date", "forward_date"]), inner,
        max_size=6,
    ),
    max_leaves=20,
)


@given(updates=JSON)
async def test_whatever_telegram_sends_nothing_is_done_and_nothing_breaks(updates: object) -> None:
    scene = Scene(Path("/nonexistent"))
    bot = TelegramBot(TelegramApi("http://127.0.0.1:1", TOKEN, 1.0), scene.daemon, chats=("42",), users=("7",))
    await bot.take(updates)
    assert scene.daemon.commands == []


@given(codes=st.lists(st.text(alphabet="0123456789", min_size=6, max_size=6), min_size=1, max_size=10))
def test_guessing_has_three_tries(codes: list[str]) -> None:
    confirmations = Confirmations()
    right = confirmations.ask("c", "u", "/kill flatten", 0.0)
    guesses = [code for code in codes if code != right]
    assert all(confirmations.answer("c", "u", code, 1.0) is None for code in guesses)
    expected = "/kill flatten" if len(guesses) < 3 else None
    assert confirmations.answer("c", "u", right, 1.0) == expected
