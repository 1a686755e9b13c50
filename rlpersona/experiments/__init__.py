"""Experiments: one readable loop each, composed from the rest of the package."""
