import pytest
import pytest_asyncio

from bus.clock import LiveClock
from exchanges.answers import VenueError
from exchanges.binance.rest import RestClient
from exchanges.permissions import (
    KeyRights,
    ask_binance_rights,
    examine_key,
    parse_binance_rights,
    parse_coinbase_rights,
    why_not_live,
)
from tests.exchanges.binance.loopback import Loopback

BINANCE = {
    "ipRestrict": True, "createTime": 1, "enableReading": True, "enableWithdrawals": False,
    "enableInternalTransfer": False, "permitsUniversalTransfer": False, "enableSpotAndMarginTrading": True,
}
COINBASE = {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "p"}
SOUND = KeyRights(can_read=True, can_trade=True, can_withdraw=False)


def test_a_key_that_may_only_read_and_trade_goes_live():
    assert parse_coinbase_rights(COINBASE) == SOUND
    assert why_not_live("coinbase", SOUND, allow_withdrawals=False, is_loopback=False) == ""
    assert parse_binance_rights(BINANCE) == SOUND


@pytest.mark.parametrize("rights", [
    parse_coinbase_rights({**COINBASE, "can_transfer": True}),
    parse_binance_rights({**BINANCE, "enableWithdrawals": True}),
    parse_coinbase_rights({"can_transfer": True}), parse_binance_rights({"enableWithdrawals": True}),
])
def test_a_key_that_can_move_money_out_is_refused_unless_that_is_wanted(rights: KeyRights):
    reason = why_not_live("coinbase", rights, allow_withdrawals=False, is_loopback=True)
    assert "move money out" in reason
    assert "TRADINGD__VENUES__COINBASE__API_KEY" in reason
    assert why_not_live("coinbase", rights, allow_withdrawals=True, is_loopback=False) == ""


@pytest.mark.parametrize("right", ["permitsUniversalTransfer", "enableInternalTransfer"])
async def test_a_key_that_moves_money_among_its_owners_accounts_goes_live_and_that_is_told(right: str):
    async def ask() -> KeyRights:
        return parse_binance_rights({**BINANCE, right: True})

    note = await examine_key("binance", ask, allow_withdrawals=False, allow_unverified=False, is_loopback=False)
    assert "other accounts of its owner" in note


def test_a_key_that_may_not_trade_or_read_is_refused():
    for body, word in (({**COINBASE, "can_trade": False}, "trade"), ({**COINBASE, "can_view": False}, "read")):
        assert word in why_not_live("x", parse_coinbase_rights(body), allow_withdrawals=True, is_loopback=True)


@pytest.mark.parametrize("body", [None, {}, [], {**COINBASE, "can_transfer": "false"}, {"can_view": True},
                                  {**BINANCE, **COINBASE, "can_transfer": 0, "enableWithdrawals": 0}])
def test_rights_that_are_not_told_plainly_are_not_assumed(body: object):
    with pytest.raises(ValueError, match="not true or false"):
        parse_coinbase_rights(body)
    with pytest.raises(ValueError, match="not true or false"):
        parse_binance_rights(body)


def test_untold_rights_are_enough_on_this_machine_only():
    assert why_not_live("x", None, allow_withdrawals=False, is_loopback=True) == ""
    assert "does not tell" in why_not_live("x", None, allow_withdrawals=True, is_loopback=False)


async def test_binance_is_asked_with_a_signature(loopback_binance: Loopback):
    rest = RestClient(loopback_binance.rest_url, LiveClock(), api_key="key", api_secret="secret", first_pause_s=0.001)
    assert await ask_binance_rights(rest) is None
    loopback_binance.answer("GET", "/sapi/v1/account/apiRestrictions", BINANCE)
    assert (await ask_binance_rights(rest)) == parse_binance_rights(BINANCE)
    refused = {"code": -2015, "msg": "Invalid key"}
    loopback_binance.answer("GET", "/sapi/v1/account/apiRestrictions", refused, status=401)
    with pytest.raises(VenueError, match="Invalid key"):
        await ask_binance_rights(rest)
    await rest.close()
    assert all("signature" in query for query in loopback_binance.calls("GET", "/sapi/v1/account/apiRestrictions"))


@pytest_asyncio.fixture
async def loopback_binance():
    server = Loopback()
    await server.start()
    yield server
    await server.stop()
