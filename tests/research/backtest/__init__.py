"""Tests of the event-driven backtest."""
