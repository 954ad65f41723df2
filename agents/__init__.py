"""THE BRAINS: CEO, scanner, analyst, strategy, risk officer, trader. Reactors without I/O."""
