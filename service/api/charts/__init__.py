"""Charts of a search as SVG, drawn here: no script, and every one gives its data as a table."""
