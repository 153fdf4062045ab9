"""Revisions, one a file, oldest first by their names."""
