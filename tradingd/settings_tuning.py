"""[tuning]: the daily self-tuning, see docs/tuning.md."""

from pydantic import BaseModel, ConfigDict, Field


class TuningSettings(BaseModel):
    """[tuning]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    at: str = Field(
        default="00:10", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="a time of the day (UTC), such as 00:10",
    )
    candles: int = Field(default=500, ge=100, le=10_000)
    time_limit_s: int = Field(default=1_800, ge=1, le=43_200)
