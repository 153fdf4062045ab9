"""Evaluators, one a file: how good a proposal is."""
