"""Who may come in: an ES256 JSON web token, of any key or of the one this exchange made."""

import os
import time
from pathlib import Path
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.types import Options

from exchanges.practice.config import PracticeError

_FILE: Final = "coinbase-key.json"
_NAME: Final = "organizations/00000000-0000-4000-8000-000000000000/apiKeys/00000000-0000-4000-8000-000000000001"
_LONGEST_S: Final = 120
_EARLY_S: Final = 5


class Unauthorized(Exception):
    """The token is not good; the text says why."""


class CoinbaseKeys:
    """Checks tokens. With `is_checked` a key is made on the first start and only its signature counts."""

    def __init__(self, folder: Path, *, is_checked: bool) -> None:
        self._key = _own_key(folder / _FILE) if is_checked else None

    def check(self, token: str, uri: str | None, skew_s: float = 0.0) -> None:
        """Raises `Unauthorized`. `uri` ("GET host/path") is what the token must be for; None = a websocket."""
        try:
            header = jwt.get_unverified_header(token)
            claims = self._claims(token)
        except jwt.PyJWTError as error:
            raise Unauthorized(f"not a good token: {error}") from error
        if header.get("alg") != "ES256" or not header.get("kid") or not header.get("nonce"):
            raise Unauthorized("the token's header needs alg ES256, kid and nonce")
        if claims.get("sub") != header["kid"] or (self._key is not None and claims["sub"] != _NAME):
            raise Unauthorized("the token's sub is not the key's name")
        now = time.time() + skew_s
        begins, ends = claims.get("nbf"), claims.get("exp")
        if not isinstance(begins, int | float) or not isinstance(ends, int | float):
            raise Unauthorized("the token needs nbf and exp")
        if not begins - _EARLY_S <= now < ends or ends - begins > _LONGEST_S:
            raise Unauthorized("the token is not for now")
        if uri is not None and str(claims.get("uri", "")).replace("http://", "") != uri:
            raise Unauthorized(f"the token is for {str(claims.get('uri'))[:200]}, not for {uri}")

    def _claims(self, token: str) -> dict[str, Any]:
        options: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
        if self._key is None:
            return jwt.decode(token, options={**options, "verify_signature": False})
        return jwt.decode(token, self._key.public_key(), algorithms=["ES256"], options=options)


def _own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in the file ({"name", "privateKey"}), made when there is none; raises `PracticeError`."""
    try:
        if not path.exists():
            _make(path)
        key = load_pem_private_key(orjson.loads(path.read_bytes())["privateKey"].encode(), password=None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PracticeError(f"{path}: not a key file ({error}): remove it for a new key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PracticeError(f"{path}: the key is of another kind than ES256: remove it for a new key")
    return key


def _make(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(orjson.dumps({"name": _NAME, "privateKey": pem}))
