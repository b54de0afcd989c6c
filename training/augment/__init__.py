"""Makes synthetic training images: collages, crowds, occluded faces, poor light and poor cameras."""
