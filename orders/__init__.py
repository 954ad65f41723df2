"""THE HANDS: engine, order state table, trailing, ledger, reconcile. Synchronous, no I/O, no clock."""
