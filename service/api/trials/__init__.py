"""The trials of a search, what they measured, and the best of them."""
