"""Time per face: timing pass, throughput, cold start."""
