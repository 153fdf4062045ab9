"""What holds for every entry of a registry, to be called from the tests of whoever adds one.

A file a kind. Each `check_...` raises AssertionError that says which entry breaks what.
"""
