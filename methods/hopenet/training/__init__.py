"""Training of Hopenet."""
