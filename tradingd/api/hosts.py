"""Which names this daemon answers to, and whether a web page that asks is one of its own."""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from tradingd.settings import LOOPBACK

_PUBLIC_BINDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - names, not a bind


class OwnNames:
    """`host` is the configured bind address: it is accepted besides the loopback names and `allowed`, the names
    under which a proxy in front is reached.
    """

    def __init__(self, host: str, allowed: Sequence[str] = ()) -> None:
        self._names = frozenset({*LOOPBACK, host.lower(), *(name.lower() for name in allowed)})
        self._is_public = host in _PUBLIC_BINDS
        self._own_name = socket.gethostname().lower()

    def is_ours(self, host: str) -> bool:
        """Of a Host header, with or without port: does it name us?"""
        name = _name_of(host)
        if name and name in self._names:
            return True
        # A public bind is reached by addresses we cannot list; a rebound DNS name is neither of these.
        return self._is_public and (name == self._own_name or _is_address(name))


def is_same_origin(origin: str, host: str) -> bool:
    """Does this Origin header belong to a page that was loaded from this Host?"""
    return urlsplit_netloc(origin) == host.strip().lower() != ""


def urlsplit_netloc(origin: str) -> str:
    """host:port of an Origin header, lower case; "" for "null" and for what is no URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^:\[\]\s/@]+))(?::[0-9]{1,5})?")


def _name_of(host: str) -> str:
    """The host name without port and brackets, lower case; "" for what is no host (RFC 3986, 3.2.2)."""
    found = _HOST.fullmatch(host.strip().lower())
    return (found["six"] or found["name"]) if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
