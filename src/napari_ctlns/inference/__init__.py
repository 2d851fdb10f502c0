"""A model and a scan become a probability and a mask."""
