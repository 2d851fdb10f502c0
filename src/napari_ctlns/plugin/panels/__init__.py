"""The dock widgets, one a module: layout and signals."""
