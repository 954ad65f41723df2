"""What one word means at the places that a fault may befall: "kill" of the process, of the bus, of an agent."""

from typing import Final

PLACES: Final[dict[str, str]] = {
    "exchange": "venue binance coinbase kraken practice model",
    "orders": "order rest api create create_order create_orders request requests entry entries exit exits stop_order "
              "stop_orders stops limit_order market_order trading",
    "cancel": "cancels cancel_order",
    "query": "queries query_order",
    "network": "internet connection",
    "feed": "data market_data stream websocket ws book ticks trades quotes market_stream",
    "market": "price prices",
    "user_stream": "user_data_stream reports report",
    "fills": "fill execution executions",
    "bus": "redis message messages",
    "store": "sql postgres postgresql database db",
    "disk": "storage filesystem",
    "journal": "",
    "process": "daemon engine tradingd self",
    "machine": "host system vm server",
    "loop": "event_loop",
    "agent": "agents",
    "risk": "",
    "operator": "person people user kill_switch command commands",
    "clock": "time",
    "account": "position positions balance balances usdt",
}
PLACE_BY_WORD: Final = {word: place for place, words in PLACES.items() for word in (place, *words.split())}

_SAME: Final[dict[str, str]] = {
    "kill": "kill_9 sigkill die dies death exit terminate oom",
    "crash": "crashes crashed",
    "down": "outage unavailable offline unreachable fail failure fails failed dead",
    "disconnect": "disconnected close closed cut partition flap",
    "drop": "dropped drops loss lost lose",
    "slow": "delay delayed latency lag",
    "freeze": "frozen hang hangs stall stalled block blocked stuck",
    "mute": "silent silence",
    "malformed": "corrupt corrupted corruption garbage",
    "duplicate": "duplicated duplicates double twice",
    "reorder": "out_of_order",
    "error": "errors",
    "timeout": "timeouts",
    "reject": "rejected refuse refused",
    "halt": "halted",
    "restart": "", "reset": "", "stop": "", "pause": "",
}
_VERB_BY_WORD: Final = {word: verb for verb, words in _SAME.items() for word in (verb, *words.split())}

_GONE: Final = "kill crash down disconnect restart reset"
_STUCK: Final = "freeze mute pause"
_TABLE: Final[dict[str, dict[str, str]]] = {
    "exchange": {
        "network_down": f"{_GONE} mute", "trading_down": "freeze", "timeout_before": "timeout drop", "slow": "slow",
        "http_5xx": "error", "maintenance": "stop halt pause reject", "fill_duplicate": "duplicate",
        "reorder": "reorder", "malformed": "malformed",
    },
    "orders": {
        "trading_down": f"{_STUCK} down crash disconnect", "timeout_before": "timeout drop reset", "slow": "slow",
        "http_5xx": "error", "maintenance": "stop halt reject", "fill_duplicate": "duplicate", "reorder": "reorder",
    },
    "cancel": {"cancel_lost": f"{_STUCK} timeout drop down error reset disconnect", "slow": "slow",
               "cancel_race": "reject"},
    "query": {"trading_down": f"{_STUCK} timeout drop down error reset disconnect", "slow": "slow"},
    "network": {"network_down": f"{_GONE} {_STUCK} drop error stop", "timeout_before": "timeout", "slow": "slow",
                "malformed": "malformed", "reorder": "reorder"},
    "feed": {"feed_down": f"{_GONE} drop error stop halt", "mute": f"{_STUCK} slow timeout", "malformed": "malformed",
             "duplicate_ticks": "duplicate", "reorder_ticks": "reorder"},
    "market": {"crash": "crash drop", "feed_down": "down disconnect kill restart reset error",
               "mute": f"{_STUCK} slow timeout", "quiet": "stop", "maintenance": "halt", "malformed": "malformed",
               "duplicate_ticks": "duplicate", "reorder_ticks": "reorder"},
    "user_stream": {"stream_down": f"{_GONE} {_STUCK} error timeout stop drop", "slow": "slow",
                    "fill_duplicate": "duplicate", "reorder": "reorder"},
    "fills": {"stream_down": f"{_STUCK} down disconnect error timeout stop reset", "fill_lost": "drop", "slow": "slow",
              "fill_duplicate": "duplicate", "reorder": "reorder"},
    "bus": {"bus_down": f"{_GONE} {_STUCK} error timeout slow stop", "bus_loss": "drop", "forged": "malformed"},
    "store": {"bus_down": f"{_GONE} {_STUCK} error timeout slow stop drop"},
    "disk": {"fsync_error": "error down crash kill reset disconnect timeout reject", "stall": f"{_STUCK} slow",
             "bit_flip": "malformed", "power_cut": "drop"},
    "journal": {"fsync_error": "error down timeout reject", "stall": f"{_STUCK} slow", "bit_flip": "malformed crash",
                "power_cut": "drop reset"},
    "process": {"kill_idle": f"{_GONE} drop error", "stall": f"{_STUCK} slow timeout", "stop": "stop halt",
                "second_daemon": "duplicate"},
    "machine": {"power_cut": "kill crash down restart reset stop error", "stall": "freeze slow mute timeout",
                "sleep": "pause", "network_down": "disconnect"},
    "loop": {"stall": f"{_STUCK} slow timeout stop"},
    "agent": {"agent_dies": f"{_GONE} {_STUCK} drop error slow timeout stop halt"},
    "risk": {"risk_agent_dies": f"{_GONE} {_STUCK} drop error slow timeout stop halt"},
    "operator": {"kill_halt": "kill halt", "pause": "stop pause", "replayed": "duplicate"},
    "clock": {"clock_skew": "slow error"},
    "account": {},
}
_FAULT: Final = {
    (verb, place): fault
    for place, faults in _TABLE.items() for fault, verbs in faults.items() for verb in verbs.split()
}


def is_verb(word: str) -> bool:
    """Does it say what happens and not to what?"""
    return word in _VERB_BY_WORD


def fault_at(word: str, place: str) -> str:
    """The fault's own name; "" when there is none of this kind at this place, or the word depends on no place."""
    return _FAULT.get((_VERB_BY_WORD.get(word, ""), PLACE_BY_WORD.get(place, "")), "")


def known_at(place: str) -> list[str]:
    """The faults that a place has by such words."""
    return sorted(_TABLE[PLACE_BY_WORD[place]])
