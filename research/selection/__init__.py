"""Strategies of the library tried on history, and a selection of them for the daemon."""
