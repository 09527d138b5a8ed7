"""Frozen models of the JSON files in a run folder, one module per file."""
