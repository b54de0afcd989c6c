"""The state of each device, as its messages report it."""
