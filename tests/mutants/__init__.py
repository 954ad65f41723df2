"""Bugs that are seeded on purpose, to see whether the tests notice."""
