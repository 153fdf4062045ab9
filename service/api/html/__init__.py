"""Pages: one environment of templates, in which every value is escaped."""
