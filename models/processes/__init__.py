"""Processes of this machine: children that end with their parent, names, and their folders."""
