"""From stored rotations to results: errors, intervals, tests, and `results.json`."""
