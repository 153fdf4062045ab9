"""Rows in, what the best model says of them out."""
