"""What a search remembers of earlier ones on other data."""
