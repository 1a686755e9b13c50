"""Trainings measured along the axis."""
