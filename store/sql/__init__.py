"""The SQL store: tables people and tools query. Trading never waits for it; the journal is the truth."""
