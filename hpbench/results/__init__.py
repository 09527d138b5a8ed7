"""Typed contents of run.json, results.json and timing.json."""
