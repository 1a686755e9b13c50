"""Preference pairs and their labels."""
