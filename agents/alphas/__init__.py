"""Signal models, one per file."""
