"""[research]: how much of the machine the laboratory may have beside the daemon."""

from pydantic import BaseModel, ConfigDict, Field


class ResearchSettings(BaseModel):
    """[research]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_once: int = Field(default=1, ge=1, le=16)
    waiting: int = Field(default=20, ge=1, le=1_000)
    time_limit_s: int = Field(default=3_600, ge=1, le=604_800)
