"""Around each agent: numbers, failures, a new beginning."""

from collections.abc import Callable

from agents.agent import Agent, Emit
from bus.clock import FeedClock
from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.system import AgentFailed, AgentStarted, AlertRaised, Heartbeat, TimerFired
from tests.tradingd.live_runtime import parrot
from tradingd.agent_runner import AgentRunner

SECOND = 1_000_000_000


class Room:
    """One runner, what it said, and how often it was begun anew."""

    def __init__(self, answer: Callable[[Message], list[Emit]]) -> None:
        self.clock = FeedClock(SECOND)
        self.said: list[Message] = []
        self.restarted: list[str] = []
        self.made: list[Agent] = []
        make = parrot("scanner", AlertRaised, answer)

        def fresh() -> Agent:
            self.made.append(make())
            return self.made[-1]

        self.runner = AgentRunner(
            "scanner", fresh, SessionId("s1"), self.clock, self._hear_it, lambda r: self.restarted.append(r.name)
        )
        self._maker = MessageMaker("tester", SessionId("s1"))

    def _hear_it(self, message: Message) -> None:
        self.said.append(message)

    def hear(self, title: str = "x") -> Message:
        message = self._maker.make(AlertRaised("info", title, ""), self.clock.now())
        self.runner.deliver(message)
        return message

    def tick(self) -> Message:
        self.clock.advance(self.clock.now() + SECOND)
        timer = self._maker.make(TimerFired("second"), self.clock.now())
        self.runner.tick(timer)
        return timer

    def kinds(self) -> list[type]:
        return [type(message.body) for message in self.said]


def refuse(message: Message) -> list[Emit]:
    raise RuntimeError("no " * 400)


def test_what_an_agent_emits_is_numbered_stamped_and_caused_by_what_it_heard() -> None:
    room = Room(lambda message: [Emit(Heartbeat("a")), Emit(Heartbeat("b"), expires=9, target="risk", cause="mine")])
    heard = room.hear()
    first, second = room.said
    assert [m.header.seq for m in room.said] == [1, 2]
    assert (first.header.source, first.header.ts, first.header.cause) == ("scanner", SECOND, heard.id)
    assert (second.header.expires, second.header.target, second.header.cause) == (9, "risk", "mine")


def test_a_failure_ends_in_the_runner_and_is_said_in_bounded_words() -> None:
    room = Room(refuse)
    heard = room.hear()
    (failed,) = room.said
    assert isinstance(failed.body, AgentFailed)
    assert failed.header.cause == heard.id
    assert failed.body.error.startswith("RuntimeError on AlertRaised: no no")
    assert len(failed.body.error) <= 500
    assert room.runner.has_failed


def test_a_failed_agent_hears_nothing_and_shows_no_heartbeat() -> None:
    room = Room(refuse)
    room.hear()
    room.said.clear()
    room.hear()
    room.tick()
    assert room.said == []
    assert room.runner.report().state == "failed"
    assert room.runner.report().handled == 0


def test_a_restart_makes_a_fresh_agent_and_gives_it_its_history() -> None:
    room = Room(refuse)
    room.hear()
    room.runner.restart("the CEO says so")
    assert len(room.made) == 2
    assert room.restarted == ["scanner"]
    assert not room.runner.has_failed
    started = room.said[-1].body
    assert isinstance(started, AgentStarted)
    assert started.restarts == 1
    assert room.runner.report().error.startswith("RuntimeError")


def test_numbers_go_on_over_a_restart() -> None:
    room = Room(lambda message: [Emit(Heartbeat("a"))])
    room.hear()
    room.runner.restart("for a test")
    room.hear()
    assert [message.header.seq for message in room.said] == [1, 2, 3]


def test_each_second_it_hears_the_timer_and_shows_a_heartbeat() -> None:
    room = Room(lambda message: [])
    timer = room.tick()
    assert room.kinds() == [Heartbeat]
    assert room.said[0].header.cause == timer.id
    assert room.runner.report().heartbeat_ns == timer.header.ts


def test_the_report_counts_what_was_heard_and_said() -> None:
    room = Room(lambda message: [Emit(Heartbeat("a")), Emit(Heartbeat("b"))])
    room.runner.start()
    room.hear()
    room.hear()
    report = room.runner.report()
    assert (report.handled, report.emitted, report.restarts, report.state) == (2, 4, 0, "running")
    assert report.started_ns == SECOND
    assert report.message == "repeats"
