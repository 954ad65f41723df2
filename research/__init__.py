"""THE LABORATORY: never imported by the daemon."""
