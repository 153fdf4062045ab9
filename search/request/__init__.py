"""From the body of a request to a search that can run."""
