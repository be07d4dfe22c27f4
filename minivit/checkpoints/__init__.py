"""Weights that others trained, and our own: one file a format."""
