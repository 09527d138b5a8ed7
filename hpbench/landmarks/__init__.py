"""Landmark detectors: the 68 iBUG points of a face, as a plugin kind."""
