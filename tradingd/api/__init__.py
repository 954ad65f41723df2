"""REST: what people and their programs may ask of the running daemon."""
