"""A model against a dataset, and reports of it."""
