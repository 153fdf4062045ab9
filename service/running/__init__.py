"""Runs searches: who claims one, the process that drives it, and the Ray that its trials run on."""
