"""Loopback exchanges written from public API documents alone: they share no code with the product or its practice."""
