"""Tests of `research.parity`."""
