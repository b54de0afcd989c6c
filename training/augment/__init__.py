"""Synthetic training images: collages, crowds, occlusion, lighting."""
