"""A plug-in that ends the process where nobody watches over it."""

raise SystemExit("nothing here")
