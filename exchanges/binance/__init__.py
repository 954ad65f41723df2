"""Binance spot: public stream, REST, and orders, in the venue's own wire formats."""
