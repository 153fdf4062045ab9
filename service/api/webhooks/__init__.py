"""Webhooks: whom to tell of the end of a search."""
