"""Recent history replayed with varied parameters."""
