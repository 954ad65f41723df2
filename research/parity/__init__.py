"""A session that was traded, run again: the same orders must come."""
