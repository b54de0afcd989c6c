"""Measure time, instructions and memory of the daemon and its networks, beside peers in the same run."""
