"""Strategies, one a file: which candidate to try next."""
