"""All foreign alphas together, as the analyst's `AlphaPanel`: how they are started, asked, and reported on.

Live they answer through the event loop, and the council goes on with other things meanwhile. In a replay and in a
backtest the council waits for them: the same views in the same order give the same opinions.
"""

import select
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from agents.alphas.alpha import MarketView
from agents.alphas.panel import AWAY, OutsideAlpha
from bus.messages.council import OpinionsGathered
from market.interval import SECOND_NS
from tradingd.agent_watch import AgentWatch
from tradingd.plugins.host import AlphaHost, HostOptions, HostState, Question
from tradingd.plugins.process import bury
from tradingd.plugins.sources import AlphaSource, BrokenSource
from tradingd.plugins.states import AlphaStates
from tradingd.plugins.wire import view_frame
from tradingd.profile import Timing

_BURY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One foreign alpha for people. `name`: of its file where the alpha's own name is another's. `problem` "" = well;
    `line` of its file where it failed, 0 = not known.
    """

    name: str
    source: str
    state: HostState
    version: str
    problem: str
    line: int
    failures: int
    restarts: int
    memory_bytes: int
    pid: int | None
    timing: Timing


class PanelOfHosts:
    """What live and waiting panels have in common. `on_problem(label, text)`: of the source; text "" = well again."""

    def __init__(
        self, sources: Sequence[AlphaSource], broken: Sequence[BrokenSource], options: HostOptions,
        taken: Collection[str], states: AlphaStates | None = None,
    ) -> None:
        self.options = options
        self.on_problem: Callable[[str, str], None] = lambda label, text: None
        self.on_loaded: Callable[[OutsideAlpha], None] = lambda alpha: None
        self.hosts = [
            AlphaHost(source, options, self, states.read(source.stem) if states is not None else None)
            for source in sources
        ]
        self._broken = list(broken)
        self._taken = frozenset(taken)
        self._states = states
        self._roster: tuple[OutsideAlpha, ...] = ()
        self._host_by_name: dict[str, AlphaHost] = {}
        self._asked = 0

    # ---- as the analyst sees it ------------------------------------------------------------------------

    def roster(self) -> Sequence[OutsideAlpha]:
        return self._roster

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """See `AlphaPanel`."""
        raise NotImplementedError

    def question(self, view: MarketView, names: Sequence[str]) -> Question:
        """Put before those who can answer; the others are skipped in it already."""
        self._asked += 1
        question = Question(self._asked, view.symbol, view.interval, view.ts_open, set(names))
        frame = view_frame(self._asked, view)
        for name in sorted(names):
            host = self._host_by_name.get(name)
            if host is None:
                question.skip(name, AWAY, "there is no such alpha")
            else:
                host.put(question, frame)
        return question

    # ---- as a host's owner -----------------------------------------------------------------------------

    def on_process_begun(self, host: AlphaHost) -> None:
        """Nothing to watch yet."""

    def on_process_ending(self, host: AlphaHost) -> None:
        """Nothing is watched."""

    def on_answered(self, question: Question) -> None:
        """Nobody waits."""

    def on_saved(self, host: AlphaHost) -> None:
        if self._states is not None and host.saved is not None:
            self._states.write(host.source.stem, host.saved)

    def on_changed(self, host: AlphaHost) -> None:
        is_new = host.state == "ready" and self._host_by_name.get(host.name) is not host
        if is_new and not self._gets_its_name(host):
            return
        if host.state == "broken" and self._host_by_name.get(host.name) is host:
            del self._host_by_name[host.name]
        self._roster = tuple(
            each.identity for _, each in sorted(self._host_by_name.items()) if each.identity is not None
        )
        # By its source, for its name is not known before it was loaded, and may turn out to be another's.
        self.on_problem(host.source.label, _problem_text(host))
        if is_new and host.identity is not None:
            self.on_loaded(host.identity)

    def _gets_its_name(self, host: AlphaHost) -> bool:
        """Of two with one name the first by their order runs, whichever was loaded first; the other is refused."""
        if host.name in self._taken:
            host.refuse(f"{host.name} is the name of a built-in alpha: give it another name", "refused")
            return False
        other = self._host_by_name.get(host.name)
        if other is not None and self.hosts.index(other) < self.hosts.index(host):
            host.refuse(_taken_by(other), "refused")
            return False
        self._host_by_name[host.name] = host
        if other is not None:
            other.refuse(_taken_by(host), "refused")
        return True

    def source_of(self, name: str) -> str:
        """The file or package behind an alpha, without the folder."""
        return file_of(self._host_by_name[name].source.label)

    def name_of(self, label: str) -> str:
        """Of the alpha behind the source, if it runs under one, else the file."""
        named = (name for name, host in self._host_by_name.items() if host.source.label == label)
        return next(named, file_of(label))

    # ---- for people ------------------------------------------------------------------------------------

    def reports(self) -> list[PluginReport]:
        """Of all, also of those that cannot be used, by name."""
        reports = [
            PluginReport(
                self._shown_name(host.name, host.source.label, host), host.source.label, host.state,
                host.identity.version if host.identity and host.state != "refused" else "",
                host.problem, host.line, host.failures, host.restarts,
                host.process.memory_bytes if host.process is not None else 0,
                host.process.pid if host.process is not None else None, host.timing,
            )
            for host in self.hosts
        ]
        reports += [
            PluginReport(
                self._shown_name(each.stem, each.label), each.label, each.state, "", each.why, 0, 0, 0, 0, None,
                Timing(),
            )
            for each in self._broken
        ]
        return sorted(reports, key=lambda report: (report.name, report.source))

    def _shown_name(self, name: str, label: str, host: AlphaHost | None = None) -> str:
        """What has not the right to its name is called by its file: two rows of one name would be taken for one."""
        is_free = name not in self._taken and name not in self._host_by_name
        is_its_own = host is not None and self._host_by_name.get(name) is host
        return name if is_free or is_its_own else file_of(label)

    def problems(self) -> list[tuple[str, str]]:
        """Label and text of each that cannot be used now."""
        told = [(each.label, f"{each.label}: {each.why}; the others go on without it") for each in self._broken]
        return told + [(host.source.label, text) for host in self.hosts if (text := _problem_text(host))]

    @property
    def may_hold_others(self) -> bool:
        """Some could not be loaded (yet), so a name that nobody knows may be theirs."""
        return bool(self._broken) or any(host.identity is None for host in self.hosts)

    def end(self) -> None:
        """All processes, at once."""
        for host in self.hosts:
            host.end()
        bury(_BURY_S)


def _problem_text(host: AlphaHost) -> str:
    if not host.problem:
        return ""
    place = f", line {host.line}" if host.line and "(line" not in host.problem else ""
    start_anew = {"broken": "mend the file and start the daemon anew; ", "refused": "then start the daemon anew; "}
    remedy = start_anew.get(host.state, "")
    return f"{host.source.label}{place}: {host.problem}; {remedy}the others go on without it"


def _taken_by(winner: AlphaHost) -> str:
    file = file_of(winner.source.label)
    return f"the name {winner.name} is taken by {file}, which runs: give one of them another name"


def file_of(label: str) -> str:
    """The file of a path; a package's label as it is."""
    return label.rpartition("/")[2]


class WaitingPanel(PanelOfHosts):
    """For replays and backtests: `ask` comes back with the answers. `now` is the session's clock, UTC ns: rests are
    counted in its time, so that they end at the same candle each time. `watch` is held while an alpha thinks.
    """

    def __init__(
        self, sources: Sequence[AlphaSource], broken: Sequence[BrokenSource], options: HostOptions,
        taken: Collection[str], now: Callable[[], int], watch: AgentWatch | None = None,
    ) -> None:
        super().__init__(sources, broken, options, taken)
        self._now = now
        self.watch = watch
        self._back_at_ns: dict[AlphaHost, int] = {}

    def start(self) -> None:
        """Load all and wait for each, or for its time limit."""
        for host in self.hosts:
            host.begin()
        self._wait(lambda: not any(host.state == "loading" for host in self.hosts))

    def on_changed(self, host: AlphaHost) -> None:
        if host.state == "resting":
            self._back_at_ns.setdefault(host, self._now() + round(host.rest_s * SECOND_NS))
        super().on_changed(host)

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """The opinions, however long they take, up to the time limit of each."""
        if self.watch is not None:
            self.watch.end()
        try:
            self._wake()
            question = self.question(view, names)
            self._wait(lambda: not question.waiting)
        finally:
            if self.watch is not None:
                self.watch.begin()
        return gathered(question)

    def _wake(self) -> None:
        due = [host for host, at_ns in self._back_at_ns.items() if self._now() >= at_ns]
        for host in due:
            del self._back_at_ns[host]
            host.begin()
        if due:
            self._wait(lambda: not any(host.state == "loading" for host in due))

    def _wait(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            hosts = {host.process.link.fileno(): host for host in self.hosts if host.process is not None}
            poll = select.poll()
            for number, host in hosts.items():
                writes = host.process is not None and host.process.wants_to_write
                poll.register(number, select.POLLIN | (select.POLLOUT if writes else 0))
            deadlines = [host.deadline for host in self.hosts if host.deadline is not None]
            limit_s = max(0.0, min(deadlines) - monotonic()) if deadlines else self.options.limit_s
            for number, event in poll.poll(limit_s * 1000 + 1):
                if event & select.POLLOUT:
                    hosts[number].on_writable()
                if event & ~select.POLLOUT:
                    hosts[number].on_readable()
            for host in self.hosts:
                host.on_deadline()


def gathered(question: Question) -> OpinionsGathered:
    """What came of it, by name."""
    return OpinionsGathered(
        question.symbol, question.interval, question.ts_open,
        tuple(signal for _, signal in sorted(question.signals.items())),
        tuple(skipped for _, skipped in sorted(question.skipped.items())),
    )

