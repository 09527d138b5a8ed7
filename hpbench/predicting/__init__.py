"""Poses of all faces in images and videos, outside of a benchmark."""
