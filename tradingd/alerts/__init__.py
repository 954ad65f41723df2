"""Telling people: what is worth an alert, to whom, when, and how it gets there without ever holding up trading."""
