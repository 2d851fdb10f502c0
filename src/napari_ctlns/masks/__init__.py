"""Masks without learning: spheres, lungs, connected components."""
