"""Strangers hold every connection the API has, in each way there is, and the operator gets through all the same."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bus.messages import orders
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.api.server import MAX_CONNECTIONS
from tradingd.auth import Auth, mint_token
from tradingd.client import AnswerError, Client

LARGE = "/docs/assets/swagger-ui-bundle.js"
"""Over a megabyte, for everybody: more than the kernel takes off our hands at once."""


class Strangers:
    """Without a token; they have `MAX_CONNECTIONS` lines, and open another for each that they lose."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._lines: list[socket.socket] = []

    def ask(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {self._parts.netloc}\r\n\r\n".encode()

    def open(self, request: bytes, *, reads: int) -> None:
        """Each asks, and takes so many bytes of the answer."""
        new: list[socket.socket] = []
        while len(self._lines) + len(new) < MAX_CONNECTIONS:
            line = socket.socket()
            if not reads:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(10)
            line.connect((self._parts.hostname, self._parts.port))
            line.sendall(request)
            new.append(line)
        self._lines += new
        for line in new:
            if reads:
                assert line.recv(reads).startswith(b"HTTP/1.1 200")
            else:
                assert line.recv(1, socket.MSG_PEEK) == b"H"

    def ask_again(self, request: bytes) -> None:
        """On every line, so that none is idle for long; lost ones are opened anew."""
        kept = []
        for line in self._lines:
            try:
                line.sendall(request)
                alive = line.recv(65536) != b""
            except OSError:
                alive = False
            if alive:
                kept.append(line)
            else:
                line.close()
        self._lines = kept
        self.open(request, reads=65536)

    def close(self) -> None:
        for line in self._lines:
            line.close()


@pytest.fixture
def daemon(tmp_path: Path) -> SmallDaemon:
    return SmallDaemon(settings_in(tmp_path))


@pytest.fixture
def url(daemon: SmallDaemon, tmp_path: Path) -> Iterator[str]:
    with served(daemon, Auth.open(tmp_path)) as url:
        yield url


def kill(url: str, tmp_path: Path) -> None:
    Client(url, mint_token(tmp_path), 5).post("/api/trading/kill", {"action": "halt", "reason": "news"})


def test_strangers_who_ask_little_on_every_connection_do_not_keep_a_kill_out(
    daemon: SmallDaemon, url: str, tmp_path: Path
) -> None:
    with contextlib.closing(Strangers(url)) as strangers:
        request = strangers.ask("/api/health")
        strangers.open(request, reads=65536)
        for _ in range(3):
            kill(url, tmp_path)
            strangers.ask_again(request)
    assert any(isinstance(command, orders.EngageKillSwitch) for command in daemon.commands)


def test_strangers_who_do_not_read_their_answers_do_not_keep_a_kill_out(
    daemon: SmallDaemon, url: str, tmp_path: Path
) -> None:
    with contextlib.closing(Strangers(url)) as strangers:
        strangers.open(strangers.ask(LARGE), reads=0)
        for _ in range(3):
            kill(url, tmp_path)
    assert any(isinstance(command, orders.EngageKillSwitch) for command in daemon.commands)


def test_one_connection_still_carries_one_request_after_the_other(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 10) as line:
        for _ in range(3):
            line.sendall(Strangers(url).ask("/api/health") * 2)
            answer = b""
            while answer.count(b"HTTP/1.1 200") < 2:
                answer += line.recv(65536)


def test_those_who_ask_for_old_orders_search_one_after_the_other_and_keep_nobody_from_logging_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each search reads the whole journal for seconds, in one of few threads, beside the loop that trades."""
    daemon, auth = SmallDaemon(settings_in(tmp_path)), Auth.open(tmp_path)
    password = auth.take_new_password()
    is_read, searching, most = threading.Event(), 0, 0

    def past(_: str) -> None:
        nonlocal searching, most
        searching += 1
        most = max(most, searching)
        is_read.wait(20)
        searching -= 1

    monkeypatch.setattr(daemon.read_model, "is_past", lambda order_id: True)
    monkeypatch.setattr(daemon.read_model, "past", past)
    with served(daemon, auth) as url, ThreadPoolExecutor(40) as askers:
        viewer = Client(url, mint_token(tmp_path, "viewer", "viewer"), timeout_s=30)
        paths = [f"/api/orders/td-{number}{end}" for number in range(20) for end in ("", "/trace")]
        asked = [askers.submit(viewer.get, path) for path in paths]
        try:
            while not searching:
                time.sleep(0.01)
            time.sleep(0.3)
            told = Client(url, timeout_s=5).post("/api/auth/login", {"username": "operator", "password": password})
        finally:
            is_read.set()
        assert told["token_type"] == "bearer"
        assert most == 1
        for each in asked:
            with pytest.raises(AnswerError, match="there is no order"):
                each.result(20)
