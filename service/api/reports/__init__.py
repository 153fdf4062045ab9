"""The report of a search: as JSON, and as a page that is whole in one file."""
