import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from exchanges.answers import VenueError
from exchanges.coinbase.keys import NO_KEYS, read_keys
from tests.exchanges.coinbase.exchange import KEY_NAME, PEM


def pem(key: object, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()  # type: ignore[attr-defined]


def test_a_token_for_a_request_names_method_host_and_path_and_lives_two_minutes():
    token = read_keys("coinbase", KEY_NAME, PEM).token(1_000, "GET", "http://127.0.0.1:5/api/v3/x?limit=1")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims == {
        "sub": KEY_NAME, "iss": "cdp", "nbf": 1_000, "exp": 1_120, "uri": "GET 127.0.0.1:5/api/v3/x",
    }
    assert jwt.get_unverified_header(token)["kid"] == KEY_NAME


def test_a_token_for_a_stream_names_no_request_and_no_two_are_the_same():
    keys = read_keys("coinbase", KEY_NAME, PEM)
    first, second = keys.token(1_000), keys.token(1_000)
    assert "uri" not in jwt.decode(first, options={"verify_signature": False})
    assert jwt.get_unverified_header(first)["nonce"] != jwt.get_unverified_header(second)["nonce"]


def test_a_checker_that_expects_the_platforms_issuer_and_no_audience_takes_a_token():
    pair = read_keys("coinbase", KEY_NAME, PEM)
    public = load_pem_private_key(pair.pem.encode(), password=None).public_key()
    token = pair.token(int(time.time()), "GET", "https://api.coinbase.com/api/v3/brokerage/accounts")
    claims = jwt.decode(token, public, algorithms=["ES256"], issuer="cdp")  # type: ignore[arg-type]
    assert claims["uri"] == "GET api.coinbase.com/api/v3/brokerage/accounts"


def test_the_older_form_has_its_audience_and_issuer():
    token = read_keys("coinbase", KEY_NAME, PEM).token(1_000, is_old_form=True)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("coinbase-cloud", ["retail_rest_api_proxy"])


def test_both_ways_to_write_a_private_key_are_read():
    key = ec.generate_private_key(ec.SECP256R1())
    assert read_keys("coinbase", KEY_NAME, pem(key)).pem.startswith("-----BEGIN EC PRIVATE KEY-----")
    assert read_keys("coinbase", KEY_NAME, pem(key, PrivateFormat.TraditionalOpenSSL).replace("\n", "\\n"))


def test_no_keys_at_all_are_no_fault_here():
    assert read_keys("coinbase", "", "") is NO_KEYS
    assert not NO_KEYS
    with pytest.raises(ValueError, match="no keys"):
        NO_KEYS.token(1_000)


@pytest.mark.parametrize(("name", "secret", "words"), [
    (KEY_NAME, "", "only one half"), ("", PEM, "only one half"), (PEM, KEY_NAME, "swapped"),
    (KEY_NAME, "c2VjcmV0", "not a private key in PEM"),
    (KEY_NAME, pem(ed25519.Ed25519PrivateKey.generate()), "ECDSA on P-256"),
    (KEY_NAME, pem(ec.generate_private_key(ec.SECP384R1())), "ECDSA on P-256"),
])
def test_a_wrong_key_is_refused_with_the_remedy_and_without_the_secret(name: str, secret: str, words: str):
    with pytest.raises(VenueError, match=words) as caught:
        read_keys("coinbase", name, secret)
    assert "TRADINGD__VENUES__COINBASE__API_SECRET" in str(caught.value)
    assert not secret or secret[30:60] not in str(caught.value) or len(secret) < 60
