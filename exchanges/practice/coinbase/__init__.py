"""The practice exchange's second door: Coinbase's Advanced Trade protocol on the same market, account and matching."""
