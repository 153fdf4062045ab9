"""Engines run a search: they ask the strategy, evaluate, journal, and tell."""
