"""Everything of a service in one file, made while it runs, and a service again from it."""
