"""Starts: a server, here or as a child."""
