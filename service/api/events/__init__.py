"""What happened to a search, numbered without holes."""
