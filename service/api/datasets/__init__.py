"""`/v1/datasets`: your own data."""
