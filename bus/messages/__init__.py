"""The closed vocabulary: commands (wishes), events (facts) and reports, one module per subject."""
