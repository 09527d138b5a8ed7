"""Tables that a user brings: their rows, and the rotations in their columns."""
