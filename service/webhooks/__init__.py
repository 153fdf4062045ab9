"""What tells a tenant's own server that a search has ended."""
