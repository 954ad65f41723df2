"""A loopback exchange that speaks a real venue's wire protocol."""
