"""Everything that is PyTorch: data, networks, training, export. Knows nothing of searching."""
