"""Keys: who may come in."""
