"""Preference pairs: sampled, labelled by models and people, checked, split."""
