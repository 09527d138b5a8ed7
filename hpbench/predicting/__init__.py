"""Poses of all faces in pictures and videos, outside of a benchmark."""
