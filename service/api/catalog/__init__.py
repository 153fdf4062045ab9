"""What a request can name: families, strategies, datasets and the rest."""
