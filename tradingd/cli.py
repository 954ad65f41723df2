"""Command line."""


def main() -> None:
    """Entry point."""
    raise SystemExit("not built yet")
