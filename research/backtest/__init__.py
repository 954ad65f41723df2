"""Backtests with the live engine, gate and ledger in a plain loop over candles."""
