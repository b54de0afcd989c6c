"""Convert float models to int8 bundles that a device runs, and refuse those that are not good enough."""
