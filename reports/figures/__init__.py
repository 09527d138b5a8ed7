"""Figures of a report: the numbers behind them, still and interactive ones."""
