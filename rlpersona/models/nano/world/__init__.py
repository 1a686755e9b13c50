"""The synthetic world: its facts, its people, the questions asked in it and how people answer."""
