"""Weights files by name: cache, download, verification."""
