"""Searches: what was asked, its place in the queue, its state."""
