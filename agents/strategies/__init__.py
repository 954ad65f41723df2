"""Decision rules, one per file."""
