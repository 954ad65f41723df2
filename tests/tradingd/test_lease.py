"""Two daemons never trade one account: on one machine, over PostgreSQL, over Redis."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from bus.redis_lease import RedisLease
from store.sql.postgres_lease import PostgresLease
from tests.redis_server import RedisServer
from tradingd import lease as lease_module
from tradingd.lease import AccountTakenError, Lease, LeaseKeeper, account_key, holder_name
from tradingd.lease_choice import take_account
from tradingd.settings import BusSettings, Settings, StoreSettings, VenueSettings


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["postgresql", "redis"])
async def lease(request: pytest.FixtureRequest) -> AsyncIterator[Lease]:
    """A lease on an account nobody had before."""
    made: Lease
    if request.param == "redis":
        made = RedisLease(request.getfixturevalue("redis").url, f"lease-{request.node.name}")
    else:
        made = PostgresLease(request.getfixturevalue("postgres").url, request.node.name)
    yield made
    await made.close()


# ---- the lease ---------------------------------------------------------------------------------------


async def test_one_holds_it_and_the_other_is_told_who(lease: Lease) -> None:
    assert await lease.take("a", 30) == (1, "a")
    assert await lease.take("b", 30) == (0, "a")
    assert await lease.take("a", 30) == (1, "a")


async def test_a_new_holder_gets_a_higher_number(lease: Lease) -> None:
    await lease.take("a", 30)
    await lease.give_back("a")
    assert await lease.take("b", 30) == (2, "b")
    await lease.give_back("a")  # it is not a's to give any more
    assert await lease.take("c", 30) == (0, "b")


async def test_it_ends_by_itself_when_its_holder_is_silent(lease: Lease) -> None:
    await lease.take("a", -1)
    assert await lease.take("b", 30) == (2, "b")
    assert await lease.take("a", 30) == (0, "b")


async def test_of_many_that_come_together_one_gets_it(lease: Lease) -> None:
    answers = await asyncio.gather(*(lease.take(name, 30) for name in "abcdef"))
    assert sorted(token for token, _ in answers) == [0, 0, 0, 0, 0, 1]
    assert len({who for _, who in answers}) == 1


def _ended() -> int:
    """The number of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(20)
    return gone.pid


async def test_what_a_killed_daemon_of_this_machine_left_is_taken_over_at_once(lease: Lease) -> None:
    """kill -9 and a start two seconds later: refused, the service manager would never start it again."""
    mine = holder_name("s2")
    left = mine.replace(f"pid {os.getpid()} ", f"pid {_ended()} ")
    assert (await lease.take(left, 30))[0] == 1
    keeper = LeaseKeeper(lease, mine, lambda text: None, lambda error: None)
    await keeper.begin()
    assert keeper.token == 2
    assert await lease.take(left, 30) == (0, mine)


async def test_one_that_lives_or_is_elsewhere_is_not_robbed(lease: Lease) -> None:
    living = holder_name("s1").replace(f"pid {os.getpid()} ", f"pid {os.getppid()} ")
    namesakes = [f"{socket.gethostname()}{place} pid 999999999 session s1" for place in ("", "/00000000-0000")]
    for other in (living, "elsewhere pid 999999999 session s1", *namesakes):
        await lease.take(other, 30)
        keeper = LeaseKeeper(lease, holder_name("s2"), lambda text: None, lambda error: None)
        with pytest.raises(AccountTakenError, match=other.partition(" ")[0]):
            await keeper.begin()
        await lease.give_back(other)


async def test_a_restart_waits_for_the_lease_of_one_that_may_be_gone_to_end(lease: Lease) -> None:
    await lease.take("elsewhere pid 7 session s1", 2)
    keeper = LeaseKeeper(lease, holder_name("s2"), lambda text: None, lambda error: None)
    await keeper.begin(patience_s=20)
    assert keeper.token == 2


async def test_a_server_that_is_away_is_an_error_of_the_network() -> None:
    for made in (RedisLease("redis://127.0.0.1:1/0", "x"), PostgresLease("postgresql://a@127.0.0.1:1/x", "x")):
        with pytest.raises(OSError, match=r"Redis|PostgreSQL"):
            await made.take("a", 30)
        await made.close()


# ---- keeping it --------------------------------------------------------------------------------------


class Written:
    """A lease on paper: `answers` are given in turn, an OSError is raised."""

    def __init__(self, *answers: tuple[int, str] | OSError) -> None:
        self.answers = list(answers)
        self.given_back = ""

    async def take(self, holder: str, ttl_s: float) -> tuple[int, str]:
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def give_back(self, holder: str) -> None:
        self.given_back = holder

    async def close(self) -> None:
        pass


async def kept(lease: Written, *, patience_s: float = 0.0) -> tuple[list[str], list[BaseException]]:
    doubts: list[str] = []
    lost: list[BaseException] = []
    keeper = LeaseKeeper(lease, "me", doubts.append, lost.append, renew_s=0)
    await keeper.begin(patience_s=patience_s)
    with suppress(IndexError):  # no more answers
        await keeper.run()
    await keeper.end()
    return doubts, lost


async def test_a_lease_that_is_taken_stops_the_start() -> None:
    keeper = LeaseKeeper(Written((0, "host b")), "me", lambda _: None, lambda _: None)
    with pytest.raises(AccountTakenError, match=r"another daemon trades this account \(host b\)"):
        await keeper.begin()


async def test_a_lease_that_passed_to_another_stops_the_daemon() -> None:
    _, lost = await kept(Written((4, "me"), (4, "me"), (0, "host b")))
    assert isinstance(lost[0], AccountTakenError)


async def test_a_lease_that_somebody_had_meanwhile_is_lost_even_when_it_is_free_again() -> None:
    _, lost = await kept(Written((4, "me"), (6, "me")))
    assert isinstance(lost[0], AccountTakenError)


async def test_a_server_that_has_forgotten_everything_takes_nobodys_account_away(
    redis: RedisServer,
) -> None:
    """Redis without a disk, begun anew: its numbers begin anew, too, and nobody else can have had the account."""
    lease = RedisLease(redis.url, "lease-forgotten")
    for number in range(3):
        await lease.take(f"earlier {number}", 30)
        await lease.give_back(f"earlier {number}")
    lost: list[BaseException] = []
    keeper = LeaseKeeper(lease, "me", lambda _: None, lost.append, renew_s=0)
    await keeper.begin()
    assert keeper.token == 4
    await lease._client.flushall()
    await keeper.begin()
    assert keeper.token == 1
    assert await lease.take("host b", 30) == (0, "me")
    await keeper.begin()
    assert lost == []
    await keeper.end()


async def test_a_server_that_is_away_at_the_start_is_a_doubt_until_it_is_back() -> None:
    lease = Written(OSError("gone"), OSError("gone"), (1, "me"))
    doubts, lost = await kept(lease)
    assert [bool(each) for each in doubts] == [True, True, False]
    assert "no entries until it is" in doubts[0]
    assert lost == []
    assert lease.given_back == "me"


async def test_a_short_absence_is_no_doubt_and_a_long_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(lease_module, "elapsed_s", lambda: now)
    doubts: list[str] = []
    lease = Written((1, "me"), (1, "me"), OSError("gone"), OSError("gone"), (1, "me"))
    keeper = LeaseKeeper(lease, "me", doubts.append, lambda _: None, renew_s=10)
    await keeper.begin()
    now += 20
    await keeper.begin()
    now += 10
    await keeper.begin()
    assert [bool(each) for each in doubts] == [True, False]
    now += 10
    await keeper.begin()
    assert doubts[-1].startswith("the account's lease cannot be renewed")
    await keeper.begin()
    assert doubts[-1] == ""


async def test_a_server_that_hangs_is_a_doubt_before_the_lease_is_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "TTL_S", 1.8)
    doubts: list[str] = []

    class Hanging(Written):
        async def take(self, holder: str, ttl_s: float) -> tuple[int, str]:
            if not self.answers:
                await asyncio.Event().wait()
            return await super().take(holder, ttl_s)

    keeper = LeaseKeeper(Hanging((1, "me")), "me", doubts.append, lambda _: None, renew_s=0.6)
    began = time.monotonic()
    await keeper.begin()
    keeper.keep()
    while not doubts[-1].startswith("the account's lease was not renewed in time"):
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 5
    assert time.monotonic() - began < 1.8
    await keeper.end()


async def test_of_two_that_a_server_without_a_memory_gives_it_to_only_one_may_open_anything(redis: RedisServer) -> None:
    """The second one waits with entries until the first has been told."""
    doubts: dict[str, list[str]] = {"a": [], "b": []}
    lost: dict[str, list[BaseException]] = {"a": [], "b": []}
    keepers = {
        name: LeaseKeeper(
            RedisLease(redis.url, "lease-twice"), f"host {name}", doubts[name].append, lost[name].append, renew_s=0.5,
        ) for name in "ab"
    }
    await keepers["a"].begin()
    keepers["a"].keep()
    while doubts["a"][-1]:  # noqa: ASYNC110 - the product sets no event for tests
        await asyncio.sleep(0.01)
    lease = keepers["b"]._lease
    assert isinstance(lease, RedisLease)
    await lease._client.flushall()
    await keepers["b"].begin()
    keepers["b"].keep()
    while not lost["a"]:
        assert doubts["b"][-1].startswith("the account's lease was taken just now")
        await asyncio.sleep(0.01)
    while doubts["b"][-1]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert lost["b"] == []
    for keeper in keepers.values():
        await keeper.end()


async def test_a_machine_that_slept_asks_at_once_when_it_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux's monotonic clock sleeps with it."""
    slept = 0.0
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + slept)
    lost: list[BaseException] = []
    keeper = LeaseKeeper(Written((1, "me"), (0, "host b")), "me", lambda _: None, lost.append)
    await keeper.begin()
    keeper.keep()
    await asyncio.sleep(0.05)
    slept = 3_600.0
    async with asyncio.timeout(3):
        while not lost:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await keeper.end()


async def test_a_server_that_comes_back_with_our_own_dead_process_s_lease_gives_it_to_us() -> None:
    mine = holder_name("s2")
    left = mine.replace(f"pid {os.getpid()} ", f"pid {_ended()} ")
    lease = Written(OSError("gone"), (0, left), (2, mine))
    doubts, lost = await kept(lease)
    assert lost == []
    assert doubts[-1] == ""
    assert lease.given_back == "me"  # at the end; the dead one's before


async def test_a_server_that_comes_back_with_another_s_lease_is_asked_until_that_may_have_ended() -> None:
    doubts, lost = await kept(Written(OSError("gone"), (0, "host b"), (0, "host b"), (2, "me")), patience_s=20)
    assert lost == []
    assert [bool(each) for each in doubts] == [True, True, True, False]
    assert "is not ours yet" in doubts[1]
    _, lost = await kept(Written(OSError("gone"), (0, "host b")), patience_s=0)
    assert isinstance(lost[0], AccountTakenError)


async def test_it_is_renewed_from_the_moment_it_is_held_until_it_is_given_back() -> None:
    lease = Written(*[(1, "me")] * 4)
    failures: list[BaseException] = []
    keeper = LeaseKeeper(lease, "me", lambda _: None, failures.append, renew_s=0)
    await keeper.begin()
    keeper.keep()
    while not failures:  # noqa: ASYNC110 - until there are no more answers
        await asyncio.sleep(0)
    assert lease.answers == []
    assert isinstance(failures[0], IndexError)  # a defect of the keeping is never silent
    await keeper.end()
    assert lease.given_back == "me"


async def test_before_the_first_order_it_is_asked_whether_it_is_still_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(lease_module, "elapsed_s", lambda: now)
    lease = Written((1, "me"), (3, "me"))
    keeper = LeaseKeeper(lease, "me", lambda _: None, lambda _: None)
    await keeper.begin()
    await keeper.verify()
    assert len(lease.answers) == 1  # it was renewed just now
    now += 40
    with pytest.raises(AccountTakenError):
        await keeper.verify()


# ---- what is configured ----------------------------------------------------------------------------


def settings_of(**changes: object) -> Settings:
    keys = VenueSettings(rest_url="http://127.0.0.1:9", api_key=SecretStr("key"))
    known: dict[str, object] = {"mode": "live", "venue": "binance", "venues": {"binance": keys}, **changes}
    return Settings(**known)  # type: ignore[arg-type]


async def test_what_is_configured_decides_who_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    urls = VenueSettings(rest_url=f"http://127.0.0.1:9{tmp_path}")  # an account nobody else here has
    cases: list[tuple[Settings, type | None]] = [
        (settings_of(), type(None)),
        (settings_of(store=StoreSettings(url="postgresql://a@b/c")), PostgresLease),
        (settings_of(bus=BusSettings(url="redis://127.0.0.1:1/0")), RedisLease),
        (settings_of(bus=BusSettings(url="redis://127.0.0.1:1/0"), store=StoreSettings(lease="off")), type(None)),
    ]
    for settings, kind in cases:
        async with AsyncExitStack() as stack:
            found = take_account(settings, urls, "me", stack)
            assert type(found) is kind
            if found is not None:
                await found.close()
            with pytest.raises(AccountTakenError):
                take_account(settings, urls, "you", stack)


async def test_paper_accounts_are_locked_with_their_data_directory_alone() -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            assert take_account(settings_of(mode="paper"), VenueSettings(), "me", stack) is None
            assert take_account(Settings(mode="live", venue="practice"), VenueSettings(), "me", stack) is None


def test_the_name_of_an_account_does_not_tell_its_key() -> None:
    assert "secret" not in account_key("binance", "https://x", "secret")
    assert account_key("binance", "https://x", "a") != account_key("binance", "https://x", "b")
