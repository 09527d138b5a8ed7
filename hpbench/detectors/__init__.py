"""Face detectors: where boxes come from when a data set has none."""
