"""Where the data directory is when the settings cannot be used: a kill must not wait until a file is mended."""

import tomllib
from collections.abc import Mapping
from pathlib import Path


def told_data_dir(config: Path | None, data_dir: Path | None, environ: Mapping[str, str]) -> Path | None:
    """What the command line, the environment or the file says of it, as `load_settings` would read that; None when it
    cannot be known. Whether a data directory lies there is not looked at.
    """
    named = data_dir or environ.get("TRADINGD__DATA_DIR")
    if named:
        return Path.cwd() / named
    file = config or environ.get("TRADINGD_CONFIG")
    if not file and not Path("config.toml").is_file():
        return Path.cwd() / "data"
    path = Path(file or "config.toml")
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8")).get("data_dir", "data")
    except (OSError, ValueError):
        return None
    return path.resolve().parent / str(told)
