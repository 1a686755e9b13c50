"""Comparing the models of a run."""
