"""The renderer of head images with exact poses."""
