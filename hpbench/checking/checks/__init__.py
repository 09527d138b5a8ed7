"""The checks, one module per kind."""
