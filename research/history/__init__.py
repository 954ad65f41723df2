"""Getting candles into the history, and knowing how good they are."""
