"""Every setting there is: the sections of config.toml, their defaults and bounds. `settings_loading` reads them."""

from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from market.interval import IntervalError, interval_ns
from market.money import LARGEST_ACCOUNT
from orders.time_rules import parse_blackout, parse_day_end
from tradingd.secrets import default_file
from tradingd.settings_alerts import AlertsSettings
from tradingd.settings_research import ResearchSettings
from tradingd.settings_sources import Sources
from tradingd.settings_tuning import TuningSettings

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSettings(_Section):
    """[account]"""

    quote: str = "USDT"
    capital: Decimal = Field(default=Decimal(10_000), gt=0, le=LARGEST_ACCOUNT)
    risk_tolerance: Literal["conservative", "moderate", "aggressive"] | None = None
    """None: nobody wrote one, so it takes nothing away from a preset; all else goes by `tolerance`."""

    @property
    def tolerance(self) -> Literal["conservative", "moderate", "aggressive"]:
        """The written one, else the usual one."""
        return self.risk_tolerance or "moderate"


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            ip_network(value, strict=False)
        except ValueError as error:
            raise ValueError(f"{value!r} is no address and no network: write 127.0.0.1 or 10.0.0.0/8") from error
    return values


class ApiSettings(_Section):
    """[api]"""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    token_hours: int = Field(default=24, ge=1, le=720)
    allow_public_without_tls: bool = False
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: Annotated[tuple[str, ...], AfterValidator(_networks)] = ()
    requests_per_second: int = Field(default=300, ge=1, le=100_000)
    max_clients: int = Field(default=100, ge=1, le=1000)


def _sound_address(url: str) -> str:
    try:
        urlsplit(url).port  # noqa: B018 - asking is the check
    except ValueError as error:  # its own words may repeat the password
        raise ValueError("no sound address: a port is a number up to 65535, brackets stand around IPv6 only") from error
    return url


class BusSettings(_Section):
    """[bus]"""

    url: Annotated[
        str,
        Field(
            pattern=r"^(memory://|rediss?://.+|unix://.+)$",
            description="memory://, or a Redis: redis://HOST:6379/0, rediss:// with TLS, unix:///PATH",
        ),
        AfterValidator(_sound_address),
    ] = "memory://"
    namespace: str = Field(
        default="tradingd", pattern=r"^[A-Za-z0-9_.-]{1,40}$", description="1 to 40 letters, digits, dots, _ and -",
    )
    queue_size: int = Field(default=10_000, ge=100)


class CandleSettings(_Section):
    """[candles]"""

    intervals: tuple[str, ...] = ("1s", "5s", "1m")
    decision: str = "1s"
    warmup: int = Field(default=120, ge=0, le=1000)

    @field_validator("intervals", "decision")
    @classmethod
    def _known(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (value,) if isinstance(value, str) else value:
            try:
                interval_ns(name)
            except IntervalError as error:
                raise ValueError(str(error)) from error
        return value


class ScannerSettings(_Section):
    """[scanner]"""

    top: int = Field(default=5, ge=1, le=500)
    min_quote_volume: Decimal = Field(default=Decimal(0), ge=0)
    max_spread: float = Field(default=0.002, gt=0, le=1)
    refresh_s: int = Field(default=5, ge=1)
    min_age_h: float = Field(default=0, ge=0)


class CouncilSettings(_Section):
    """[council]; `threshold` None means "from risk_tolerance"."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    quorum: float = Field(default=0.25, ge=0, le=1)
    proposal_ttl_s: float = Field(default=5, gt=0)
    cooldown_s: float = Field(default=10, ge=0)
    cooldown_candles: int = Field(default=2, ge=0)
    weights: dict[str, float] = Field(default_factory=dict)
    record_holds: bool = True
    adapt_weights: bool = True
    plugin_weight: float = Field(default=0.5, ge=0, le=1)
    plugin_timeout_s: float = Field(default=5, gt=0, le=60)
    plugin_memory_mb: int = Field(default=1024, ge=64)

    @field_validator("weights")
    @classmethod
    def _ratios(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if not 0 <= weight <= 1:
                raise ValueError(f"the weight of {name} is {weight}: write a number from 0 to 1")
        return value


class StrategySettings(_Section):
    """[strategy]; which strategies there are, `tradingd.strategy_choice` knows."""

    rule: str = Field(
        default="consensus", pattern=r"^[a-z_]{1,40}$", description="the name of a strategy, such as consensus",
    )
    param: dict[str, float] = Field(default_factory=dict)
    selection: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    position_size: Decimal = Field(default=Decimal("0.05"), gt=0, le=1)
    entry_trail_atr: Decimal = Field(default=Decimal(2), gt=0)
    exit_trail_atr: Decimal = Field(default=Decimal(6), gt=0)
    trail_min: Decimal = Field(default=Decimal("0.0003"), gt=0, lt=1)
    trail_max: Decimal = Field(default=Decimal("0.03"), gt=0, lt=1)
    exit_trail_min: Decimal = Field(default=Decimal("0.0015"), gt=0, lt=1)
    kelly_memory_s: int = Field(default=900, ge=0)
    kelly_memory_candles: int = Field(default=900, ge=0)
    take_profit: Decimal = Field(default=Decimal(0), ge=0, lt=10)
    entry_expires_s: int = Field(default=60, ge=1)
    entry_expires_candles: int = Field(default=12, ge=1)
    base_trail: Decimal | None = Field(default=None, gt=0, lt=1)
    trail_band: Literal["auto", "candles", "standard", "practice", "atr"] = "auto"
    max_slippage: Decimal = Field(default=Decimal("0.001"), ge=0, lt=1)
    first_entry: Literal["off", "on"] = "off"
    max_hold_s: int = Field(default=0, ge=0)
    max_hold_candles: int = Field(default=0, ge=0)


class ProtectionSettings(_Section):
    """[risk.protections]; 0 = off."""

    stretch: bool = True
    cooldown_s: int = Field(default=5, ge=0)
    cooldown_candles: int = Field(default=1, ge=0)
    stop_guard_stops: int = Field(default=4, ge=0, le=500)
    stop_guard_window_s: int = Field(default=600, ge=1)
    stop_guard_pause_s: int = Field(default=120, ge=0)
    stop_guard_scope: Literal["symbol", "all"] = "symbol"
    low_profit_trips: int = Field(default=6, ge=0, le=500)
    low_profit_ratio: Decimal = Field(default=Decimal("-0.01"), gt=-10, lt=10)
    low_profit_window_s: int = Field(default=1800, ge=1)
    low_profit_pause_s: int = Field(default=300, ge=0)
    drawdown_guard_trips: int = Field(default=10, ge=0, le=500)
    drawdown_guard_ratio: Decimal = Field(default=Decimal("0.03"), gt=0, le=1)
    drawdown_guard_window_s: int = Field(default=3600, ge=1)
    drawdown_guard_pause_s: int = Field(default=600, ge=0)


class RiskSettings(_Section):
    """[risk]: None means "from risk_tolerance, preset or the standing default"."""

    preset: Literal["", "trailing-grid", "corporation", "autotrader"] = ""
    exposure_per_asset: Decimal | None = Field(default=None, gt=0, le=1)
    exposure_total: Decimal | None = Field(default=None, gt=0, le=1)
    daily_drawdown: Decimal | None = Field(default=None, gt=0, le=1)
    weekly_drawdown: Decimal | None = Field(default=None, gt=0, le=1)
    max_drawdown: Decimal | None = Field(default=None, gt=0, le=1)
    daily_loss: Decimal | None = Field(default=None, gt=0, le=1)
    max_positions: int | None = Field(default=None, ge=1, le=1000)
    stop_loss: Decimal | None = Field(default=None, gt=0, lt=1)
    min_notional: Decimal | None = Field(default=None, ge=0)
    collar: Decimal | None = Field(default=None, gt=0, le=1)
    max_order_notional: Decimal | None = Field(default=None, gt=0, le=1)
    orders_per_second: int | None = Field(default=None, ge=1)
    orders_per_minute: int | None = Field(default=None, ge=1)
    notional_per_minute: Decimal | None = Field(default=None, gt=0)
    runaway_loss: Decimal | None = Field(default=None, gt=0, le=1)
    duplicate_window_s: Decimal | None = Field(default=None, ge=0, le=3600)
    stale_after_s: Decimal | None = Field(default=None, gt=0)
    kill_loss: Decimal | None = Field(default=None, gt=0, le=1)
    sizing: Literal["confidence", "kelly", "volatility", "risk", "fixed"] = "confidence"
    fixed_amount: Decimal = Field(default=Decimal(10_000), gt=0)
    volatility_base: Decimal = Field(default=Decimal(10_000), gt=0)
    atr_multiple: Decimal = Field(default=Decimal(1), gt=0)
    risk_per_trade: Decimal = Field(default=Decimal("0.01"), gt=0, le=1)
    kelly_safety: Decimal = Field(default=Decimal("0.5"), gt=0, le=1)
    kelly_cap: Decimal = Field(default=Decimal("0.25"), gt=0, le=1)
    cut_exposure: bool = False
    cut_share: Decimal = Field(default=Decimal("0.25"), gt=0, le=1)
    cut_every: Decimal = Field(default=Decimal("0.10"), gt=0, le=1)
    protections: ProtectionSettings = ProtectionSettings()


class OrdersSettings(_Section):
    """[orders]"""

    disaster_stop: Literal["live", "always", "never"] = "live"
    blackouts: tuple[str, ...] = ()
    close_before_day_end: bool = False
    day_end: str = "00:00"

    @field_validator("blackouts")
    @classmethod
    def _periods(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_blackout(text)
        return value

    @field_validator("day_end")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        parse_day_end(value)
        return value


class PaperSettings(_Section):
    """[paper]"""

    slippage: Decimal = Field(default=Decimal("0.001"), ge=0, lt=1)
    fee: Decimal = Field(default=Decimal("0.0005"), ge=0, lt=1)
    latency_ms: int = Field(default=20, ge=0, le=60_000)
    use_book: bool = True


class JournalSettings(_Section):
    """[journal]: how often figures are written down; when its file is closed, packed, and freed of old reasons."""

    snapshot_s: int = Field(default=60, ge=1)
    segment_mb: int = Field(default=64, ge=1, le=4096)
    pack_after_hours: float = Field(default=24, ge=0)
    keep_days: int = Field(default=400, ge=0)


class StoreSettings(_Section):
    """[store]; a URL with a password comes from the environment only."""

    url: Annotated[
        str,
        Field(
            pattern=r"^(auto|off|sqlite:///.+|postgres(ql)?://.+/.+)$",
            description="auto, off, sqlite:///FILE or postgresql://USER@HOST:5432/DATABASE",
        ),
        AfterValidator(_sound_address),
    ] = "auto"
    lease: Literal["auto", "off"] = "auto"


class TapeSettings(_Section):
    """[tape]"""

    enabled: bool = True
    max_mb: int = Field(default=256, ge=1)


class HistorySettings(_Section):
    """[history]"""

    enabled: bool = True


class LogSettings(_Section):
    """[log]"""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
    files: bool = True


class MetricsSettings(_Section):
    """[metrics]"""

    enabled: bool = True
    access: Literal["auto", "open", "token"] = "auto"
    otlp_url: str = Field(
        default="", pattern=r"^(https?://[^@\s]+)?$", description="http://HOST:4318, https, or nothing; no password",
    )
    otlp_every_s: int = Field(default=15, ge=1, le=3600)


class SecretsSettings(_Section):
    """[secrets]"""

    file: str = ""
    master_key_file: str = ""
    rotate_after_days: int = Field(default=90, ge=0, le=3650)


class VenueSettings(_Section):
    """[venues.NAME]; keys come from the environment only."""

    rest_url: str = ""
    ws_url: str = ""
    ws_api_url: str = ""
    ws_user_url: str = ""
    protocol: Literal["auto", "binance", "coinbase", "ccxt"] = "auto"
    refresh_s: int = Field(default=300, ge=5, le=86_400)
    private_per_s: int = Field(default=0, ge=0, le=1_000_000)
    allow_withdrawal_key: bool = False
    allow_unverified_key: bool = False
    api_key: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")


class PracticeSettings(_Section):
    """[practice]"""

    port: int = Field(default=0, ge=0, le=65535)
    volatility: float = Field(default=1.0, gt=0, le=100)
    faults: str = ""


class Settings(_Section):
    """Everything that can be set. `source` is the file it came from, for messages."""

    mode: Literal["paper", "live"] = "paper"
    venue: str = "practice"
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT")
    data_dir: Path = Path("data")
    seed: int = Field(default=7, ge=0, lt=2**63)
    account: AccountSettings = AccountSettings()
    api: ApiSettings = ApiSettings()
    bus: BusSettings = BusSettings()
    candles: CandleSettings = CandleSettings()
    scanner: ScannerSettings = ScannerSettings()
    council: CouncilSettings = CouncilSettings()
    strategy: StrategySettings = StrategySettings()
    risk: RiskSettings = RiskSettings()
    orders: OrdersSettings = OrdersSettings()
    paper: PaperSettings = PaperSettings()
    journal: JournalSettings = JournalSettings()
    store: StoreSettings = StoreSettings()
    tape: TapeSettings = TapeSettings()
    history: HistorySettings = HistorySettings()
    log: LogSettings = LogSettings()
    alerts: AlertsSettings = AlertsSettings()
    metrics: MetricsSettings = MetricsSettings()
    secrets: SecretsSettings = SecretsSettings()
    research: ResearchSettings = ResearchSettings()
    tuning: TuningSettings = TuningSettings()
    venues: dict[str, VenueSettings] = Field(default_factory=dict)
    practice: PracticeSettings = PracticeSettings()
    source: str = "defaults"
    _sources: Sources | None = PrivateAttr(default=None)

    def where(self, *keys: str) -> str:
        """Who said this setting, as a message begins: a flag, an environment variable, or file, line and key."""
        return (self._sources or Sources(self.source)).where(*keys)

    def note_sources(self, sources: Sources) -> None:
        """Who said which setting, for `where`."""
        self._sources = sources

    @field_validator("symbols")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a symbol is named twice: name each once")
        return value


def secrets_file(settings: Settings) -> Path:
    """Where the encrypted secrets are."""
    return Path(settings.secrets.file) if settings.secrets.file else default_file(settings.data_dir)
