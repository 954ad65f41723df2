"""THE WORLD: instruments and rounding, money, ticks, quotes, candles, books, indicators."""
