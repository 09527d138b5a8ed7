"""A run: accuracy pass, timing pass, and the folder that keeps what they gave."""
