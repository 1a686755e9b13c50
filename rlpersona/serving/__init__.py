"""The OpenAI-compatible service: a model name is a run, a persona, or a learned policy."""
