"""THE WAIST: the gate (only maker of Approved), limits, sizing, trading state, kill latch. Pure."""
