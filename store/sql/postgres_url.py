"""A PostgreSQL URL as asyncpg reads it, which knows the options of libpq: `?sslmode=verify-full&application_name=x`."""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

_SPELLINGS: Final = {"ssl": "sslmode"}
"""SQLAlchemy's words for the same."""


def asyncpg_url(text: str) -> str:
    """The one for store and lease alike, whatever driver it names."""
    parts = urlsplit(text)
    options = [(_SPELLINGS.get(name, name), value) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    return parts._replace(scheme="postgresql", query=urlencode(options)).geturl()
