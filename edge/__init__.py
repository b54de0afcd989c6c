"""The daemon: camera frames in, counts of expressions out; no picture leaves this process."""
