"""Coinbase Advanced Trade: market streams, the user stream, and orders over REST."""
