"""A Coinbase key: its name, and a private key that must be ECDSA on P-256, which alone opens the user stream.

Tokens are signed here and not by ccxt, whose signature in pure Python holds up the event loop for 50 ms each.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from exchanges.answers import VenueError

TOKEN_LIFE_S: Final = 120


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`name` is the CDP key's ("organizations/.../apiKeys/..."), `pem` its private key; both empty without keys."""

    name: str
    pem: str
    _key: ec.EllipticCurvePrivateKey | None = field(default=None, compare=False)

    def token(self, venue_seconds: int, method: str = "", url: str = "", *, is_old_form: bool = False) -> str:
        """A JWT that lives two minutes from the venue's time given: for one request, or without it for a stream.

        The form is that of docs.cdp.coinbase.com, "Coinbase App API key authentication"; `is_old_form`: that of keys
        made before the developer platform, with an audience and another issuer. Raises `ValueError` without keys.
        """
        if self._key is None:
            raise ValueError("there are no keys to sign with")
        claims: dict[str, object] = {
            "sub": self.name, "iss": "cdp", "nbf": venue_seconds, "exp": venue_seconds + TOKEN_LIFE_S,
        }
        if is_old_form:
            claims |= {"aud": ["retail_rest_api_proxy"], "iss": "coinbase-cloud", "iat": venue_seconds}
        if url:
            parts = urlsplit(url)
            claims["uri"] = f"{method} {parts.netloc}{parts.path}"
        return jwt.encode(claims, self._key, "ES256", {"kid": self.name, "nonce": secrets.token_hex(16)})

    def __repr__(self) -> str:
        return "KeyPair(hidden)"

    def __bool__(self) -> bool:
        return bool(self.name and self.pem)


NO_KEYS = KeyPair("", "")


def read_keys(venue: str, api_key: str, api_secret: str) -> KeyPair:
    """The pair as it is used; raises `VenueError` with the remedy, never with the secret.

    The secret may come with real line breaks or with a literal backslash and n, as environments carry them.
    """
    prefix = f"TRADINGD__VENUES__{venue.upper()}__"
    if not api_key and not api_secret:
        return NO_KEYS
    remedy = (
        f"Set {prefix}API_KEY to the key's name (organizations/.../apiKeys/...) and {prefix}API_SECRET to its EC "
        "private key in PEM. Create it in the CDP portal with the signature algorithm ECDSA."
    )
    if not api_key or not api_secret:
        raise VenueError(f"{venue}: only one half of the API key is set. {remedy}")
    if api_key.startswith("-----BEGIN"):
        raise VenueError(f"{venue}: API_KEY holds a private key: the two are swapped. {remedy}")
    text = api_secret.strip().strip('"').replace("\\n", "\n").strip() + "\n"
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        raise VenueError(f"{venue}: API_SECRET is not a private key in PEM. {remedy}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VenueError(f"{venue}: API_SECRET is a key of another kind: Coinbase wants ECDSA on P-256. {remedy}")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return KeyPair(api_key.strip(), pem.decode(), key)
