"""Pseudo-labels: the mean prediction of teachers."""
