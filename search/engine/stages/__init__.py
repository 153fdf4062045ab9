"""Stages of a search, one a file: each with trials of its own."""
