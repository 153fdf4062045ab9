"""Which network to try and how good it is. Knows nothing of HTTP or SQL."""
