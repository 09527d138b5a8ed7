"""From stored rotations to figures: errors, intervals, tests, and `results.json`."""
