"""Strategies that train a supernet and derive architectures from it."""
