"""What leaves the house: networks as files that run without it."""
