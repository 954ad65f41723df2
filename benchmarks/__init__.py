"""Measurements of speed and size, for people and for release notes; never run as tests."""
