"""What strategies learn with."""
