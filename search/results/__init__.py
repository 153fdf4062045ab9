"""What came of a search: how good, beside what, and why."""
