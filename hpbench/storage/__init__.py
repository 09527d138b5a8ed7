"""What lies on disk: atomic writes, run folder, prediction cache, environment."""
