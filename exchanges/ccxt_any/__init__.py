"""Any other exchange that ccxt knows: public market data for paper trading."""
