"""Grading by language models: every call counted, nothing lost."""
