"""Files: where bundles and checkpoints lie, and whether they are whole."""
