"""The persona bandit: search, fresh measurement, plans and comparisons of runs."""
