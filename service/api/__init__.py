"""Answers: HTTP, one folder a resource."""
