"""Boxes, views of a face, and drawing of poses."""
