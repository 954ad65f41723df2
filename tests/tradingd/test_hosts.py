"""Which Host headers name us."""

import pytest

from tradingd.api.hosts import OwnNames


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "LOCALHOST:1", "[::1]", "[::1]:8080", " localhost "])
def test_the_loopback_names_are_ours_with_and_without_a_port(host: str) -> None:
    assert OwnNames("127.0.0.1").is_ours(host)


@pytest.mark.parametrize("host", [
    "", ":", ":8080", "[]", "[::1].evil.example", "[::1]x", "[::1", "::1", "localhost:80:90", "localhost:x",
    "127.0.0.1.evil.example", "evil@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1/evil.example", "local host",
    "localhost.", "0.0.0.0", "2130706433", "127.0.0.2",
])
def test_what_only_begins_like_one_of_our_names_is_not_ours(host: str) -> None:
    assert not OwnNames("127.0.0.1").is_ours(host)


def test_a_public_bind_is_reached_by_any_address_and_by_no_foreign_name() -> None:
    names = OwnNames("0.0.0.0", ["Trade.example.com"])
    assert all(names.is_ours(host) for host in ("192.0.2.7:8080", "[2001:db8::1]:8080", "trade.example.com"))
    assert not any(names.is_ours(host) for host in ("rebound.example", "[evil]", "192.0.2.7.evil.example"))
