"""`/`: what is here."""
